import type { Peer } from '../peer.ts'
import { aroundOpenAI } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai',
  setUp: 'new OpenAI(), which retries twice; structured: response_format, JSON.parse, AJV.',
  packages: ['openai', 'ajv'],
  create: (options) => aroundOpenAI(options),
}
