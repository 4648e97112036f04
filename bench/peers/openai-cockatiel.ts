import {
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  wrap,
} from 'cockatiel'
import type { Peer } from '../peer.ts'
import { aroundOpenAI } from './around-openai.ts'

export const peer: Peer = {
  name: 'openai in cockatiel',
  setUp:
    'wrap(retry(handleAll, maxAttempts 2, ExponentialBackoff), circuitBreaker(ConsecutiveBreaker(5), halfOpenAfter 10 s)), as in its README, around new OpenAI({ maxRetries: 0 }) and the reading of its answer.',
  packages: ['openai', 'cockatiel', 'ajv'],
  create(options) {
    const policy = wrap(
      retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }),
      circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    )
    return aroundOpenAI({ ...options, maxRetries: 0 }, (call) => policy.execute(call))
  },
}
