import {
  cutStream,
  cutStreamBeforeContent,
  emptyChoices,
  errorBodyUnder200,
  type Fault,
  fencedJson,
  hangs,
  htmlError,
  malformedJson,
  overloaded,
  rateLimited,
  resetBeforeResponse,
  resetInBody,
  serverError,
  stalledStream,
  startFaultServer,
  streamErrorEvent,
  truncatedBody,
  wrongTypes,
} from '../../src/testing/index.ts'
import { TICKET_TEXT } from '../ticket.ts'

/** The fault server in a process of its own: `count` says how many requests came since the last. */
export type ProviderRequest = { readonly count: true }

const FAULTS: readonly Fault[] = [
  rateLimited({ retryAfterMs: 20 }),
  rateLimited({}),
  overloaded(),
  serverError(),
  htmlError(),
  hangs(),
  resetBeforeResponse(),
  resetInBody(),
  truncatedBody(),
  errorBodyUnder200(),
  emptyChoices(),
  malformedJson(),
  fencedJson(),
  wrongTypes(),
  cutStream(),
  cutStreamBeforeContent(),
  stalledStream(),
  streamErrorEvent(),
]

const server = await startFaultServer({
  answer: TICKET_TEXT,
  mixture: { seed: 1, rate: 0.05, faults: FAULTS },
})
process.on('message', () => {
  const { count } = server
  // What it remembers of each request would fill its memory. Nobody calls meanwhile.
  server.reset()
  process.send?.(count)
})
process.once('disconnect', () => process.exit())
process.send?.(server.baseURL)
