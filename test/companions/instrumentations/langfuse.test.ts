import { observeOpenAI } from '@langfuse/openai'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

describe('steady(observeOpenAI(client))', () => {
  keepsItsPromises((options) => observeOpenAI(new OpenAI(options)), OpenAI)
})
