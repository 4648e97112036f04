import { adviceFor, type CallErrorInit } from '../errors/call-error.ts'
import type { Executed, FailureKind } from '../errors/failure-kinds.ts'

/**
 * The errors of the idempotency protocol itself, as the input of `CallError`: a failure may concern many
 * callers, and each of them gets an error object of its own.
 */

export function aborted(cause: unknown, executed: Executed): CallErrorInit {
  return { kind: 'aborted', message: adviceFor('aborted'), cause, executed }
}

export function deadlinePassed(executed: Executed): CallErrorInit {
  return say('deadline', 'The deadline passed before the work under this key ended.', {
    executed,
  })
}

/** The deadline passed while another caller had the key. */
export function inProgress(): CallErrorInit {
  return say('in_progress', 'The deadline passed while another caller was running this key.', {
    retryable: true,
    executed: 'maybe',
  })
}

/** The work under a key asks for the same key, so it would wait for itself. */
export function usedInsideItself(): CallErrorInit {
  // The usual advice, to call again later, would not help here.
  const message =
    'This key is in use by the call that contains this one. Give the inner call another key.'
  return { kind: 'in_progress', message, executed: 'maybe' }
}

export function claimLost(): CallErrorInit {
  return say('in_progress', 'The claim on this key was lost.', { retryable: true })
}

export function mismatch(): CallErrorInit {
  return say('idempotency_mismatch', 'This idempotency key is bound to another payload.')
}

export function outcomeUnknown(source: 'shared' | 'store'): CallErrorInit {
  return say(
    'outcome_unknown',
    'The work under this key was started, and its outcome is unknown.',
    {
      executed: 'maybe',
      source,
    },
  )
}

/** `task` completes "The idempotency store could not …". */
export function storeUnavailable(task: string, cause: unknown, executed: Executed): CallErrorInit {
  return say('store_unavailable', `The idempotency store could not ${task}.`, {
    cause,
    retryable: true,
    executed,
  })
}

/** Stands for a finished result that is too large to be stored or shared. */
export const TOO_LARGE: unique symbol = Symbol('too large')

/** The work was done, but only the caller that ran it can have the result. */
export function resultTooLarge(): CallErrorInit {
  // The usual advice, to call again later, would not help here.
  const message =
    'The result under this idempotency key is too large to be stored or shared. Use another key.'
  return { kind: 'store_unavailable', message, executed: 'yes', source: 'shared' }
}

export function unexpected(cause: unknown): CallErrorInit {
  return say('unknown', 'The idempotency protocol failed unexpectedly.', {
    cause,
    executed: 'maybe',
  })
}

function say(
  kind: FailureKind,
  what: string,
  more: Omit<CallErrorInit, 'kind' | 'message'> = {},
): CallErrorInit {
  return { ...more, kind, message: `${what} ${adviceFor(kind)}` }
}
