import { OpenAIInstrumentation } from '@traceloop/instrumentation-openai'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'
new OpenAIInstrumentation().manuallyInstrument(OpenAI)
describe('steady(client) under Traceloop', () => keepsItsPromises((o) => new OpenAI(o), OpenAI))
