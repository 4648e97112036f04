import type { Failure } from '../../errors/call-error.ts'
import {
  type Classification,
  classifyErrorBody,
  classifyErrorChunk,
} from '../../errors/classify.ts'
import { mayBeError } from '../../errors/disguise.ts'
import { isObject, readProperty } from '../../errors/hostile.ts'
import type { Clock } from '../../time.ts'

/** What is wrong with an answer that came under 200 but is none; undefined for a completion. */
export function failureInAnswer(
  data: unknown,
  { status, headers }: Response,
  clock: Clock,
): Failure | undefined {
  return asFailure(classifyErrorBody(data, { status, headers, clock }), data)
}

/** The same of a chunk of a stream, which may also be without a choice. */
export function failureInChunk(
  chunk: unknown,
  { status, headers }: Partial<Response> = {},
  clock?: Clock,
): Failure | undefined {
  if (isObject(chunk) && !mayBeError(chunk)) return undefined
  return asFailure(classifyErrorChunk(chunk, { status, headers, clock }), chunk)
}

function asFailure(found: Classification | undefined, data: unknown): Failure | undefined {
  if (found === undefined) return undefined
  const failure = { ...found, message: found.kind, cause: readProperty(data, 'error') ?? data }
  return found.kind === 'empty_response' ? { ...failure, detail: 'it has no choice' } : failure
}

export function requestIdOf(response: Response): { requestId?: string } {
  const requestId = response.headers.get('x-request-id')
  return requestId === null ? {} : { requestId }
}
