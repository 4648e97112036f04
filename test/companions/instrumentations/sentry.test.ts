import * as Sentry from '@sentry/node'
import OpenAI from 'openai'
import { describe } from 'vitest'
import { keepsItsPromises } from './promises.ts'
Sentry.init({ dsn: 'http://public@127.0.0.1:9/1', tracesSampleRate: 1, defaultIntegrations: false })
describe('steady(Sentry.instrumentOpenAiClient(client))', () => keepsItsPromises((o) => Sentry.instrumentOpenAiClient(new OpenAI(o)), OpenAI))
