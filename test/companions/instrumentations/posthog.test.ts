import { OpenAI } from '@posthog/ai/openai'
import Base from 'openai'
import { PostHog } from 'posthog-node'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

const posthog = new PostHog('phc_none', { host: 'http://127.0.0.1:9', disabled: true })

describe('steady(new OpenAI({ posthog })) of PostHog', () => {
  keepsItsPromises((options) => new OpenAI({ ...options, posthog }) as never, Base)
})
