import { wrapOpenAI } from 'braintrust'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

describe('steady(wrapOpenAI(client)) of Braintrust', () => {
  keepsItsPromises((options) => wrapOpenAI(new OpenAI(options)), OpenAI)
})
