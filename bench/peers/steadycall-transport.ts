import { directFetch } from '../../src/transport/direct-fetch.ts'
import type { Peer } from '../peer.ts'
import { aroundSteady } from './steadycall.ts'

export const peer: Peer = {
  name: 'steadycall + transport',
  setUp: 'steady(new OpenAI({ fetch: directFetch() })); structured: llm.json.',
  packages: ['openai'],
  create: (options) => aroundSteady(options, directFetch()),
}
