import { OpenAIInstrumentation } from '@arizeai/openinference-instrumentation-openai'
import OpenAI, * as module from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'
new OpenAIInstrumentation().manuallyInstrument({ ...module, OpenAI } as never)
describe('steady(client) under OpenInference', () => keepsItsPromises((o) => new OpenAI(o), OpenAI))
