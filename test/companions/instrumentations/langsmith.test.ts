import { wrapOpenAI } from 'langsmith/wrappers'
import OpenAI from 'openai'
import { describe } from 'vitest'
import './langsmith-environment.ts'
import { keepsItsPromises } from './promises.ts'

describe('steady(wrapOpenAI(client)) of LangSmith', () => {
  const clientOf = (options: { apiKey: string; baseURL: string }) => wrapOpenAI(new OpenAI(options))
  keepsItsPromises((options) => clientOf(options) as OpenAI, OpenAI, { helpers: true })
})
