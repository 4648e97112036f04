import { directFetch } from '../../src/transport/direct-fetch.ts'
import type { Peer } from '../peer.ts'
import { aroundOpenAI } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai + transport',
  setUp: 'new OpenAI({ maxRetries: 0, fetch: directFetch() }); structured as above.',
  packages: ['openai', 'ajv'],
  create: (options) => aroundOpenAI({ ...options, maxRetries: 0, fetch: directFetch() }),
}
