import * as Sentry from '@sentry/node'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

Sentry.init({ dsn: 'http://key@127.0.0.1:9/1', tracesSampleRate: 1, defaultIntegrations: false })

describe('steady(Sentry.instrumentOpenAiClient(client))', () => {
  keepsItsPromises((options) => Sentry.instrumentOpenAiClient(new OpenAI(options)), OpenAI)
})
