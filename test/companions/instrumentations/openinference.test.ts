import { OpenAIInstrumentation } from '@arizeai/openinference-instrumentation-openai'
import OpenAI, * as openai from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

new OpenAIInstrumentation().manuallyInstrument({ ...openai, OpenAI } as never)

describe('steady(client) under OpenInference', () => {
  keepsItsPromises((options) => new OpenAI(options), OpenAI)
})
