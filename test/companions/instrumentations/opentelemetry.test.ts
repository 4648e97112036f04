import { metrics } from '@opentelemetry/api'
import { OpenAIInstrumentation } from '@opentelemetry/instrumentation-openai'
import type OpenAI from 'openai'
import * as openai6 from 'openai-v6'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'

// It takes openai below 7 only, and finds it by the name of the package: here it is given.
const instrumentation = new OpenAIInstrumentation()
instrumentation.setMeterProvider(metrics.getMeterProvider())
instrumentation.init()[0]?.patch?.(openai6)
const Client = openai6.OpenAI as unknown as typeof OpenAI

describe('steady(client) under OpenTelemetry, openai 6', () => {
  keepsItsPromises((options) => new Client(options), Client)
})
