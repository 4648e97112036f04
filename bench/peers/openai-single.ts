import type { Peer } from '../peer.ts'
import { aroundOpenAI } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai, maxRetries: 0',
  setUp: 'new OpenAI({ maxRetries: 0 }); structured: response_format, JSON.parse, AJV.',
  packages: ['openai', 'ajv'],
  create: (options) => aroundOpenAI({ ...options, maxRetries: 0 }),
}
