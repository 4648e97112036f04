process.env.LANGSMITH_TRACING = 'true'
process.env.LANGSMITH_ENDPOINT = 'http://127.0.0.1:9'
process.env.LANGSMITH_API_KEY = 'none'
import { wrapOpenAI } from 'langsmith/wrappers'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'
describe('steady(wrapOpenAI(client)) of LangSmith', () => keepsItsPromises((o) => wrapOpenAI(new OpenAI(o)) as OpenAI, OpenAI, { helpers: false }))
