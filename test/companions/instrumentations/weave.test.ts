import OpenAI from 'openai'
import { describe } from 'vitest'
import { wrapOpenAI } from 'weave'
import { keepsItsPromises } from './promises.ts'

describe('steady(wrapOpenAI(client)) of Weave', () => {
  keepsItsPromises((options) => wrapOpenAI(new OpenAI(options)), OpenAI, { options: true })
})
