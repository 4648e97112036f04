import pRetry from 'p-retry'
import type { Peer } from '../peer.ts'
import { aroundOpenAI } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai in p-retry',
  setUp:
    'pRetry(call, { retries: 2 }) around new OpenAI() and the reading of its answer: two layers, as in most applications.',
  packages: ['openai', 'p-retry', 'ajv'],
  create: (options) => aroundOpenAI(options, (call) => pRetry(call, { retries: 2 })),
}
