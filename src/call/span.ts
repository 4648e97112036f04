import { type CallSpan, isWatched, startCall, UNWATCHED_CALL } from '../telemetry/telemetry.ts'
import type { CallKey } from './key.ts'
import { currentTrace } from './nesting.ts'
import { type CallContext, isFunction, type Task } from './task.ts'

/** Starts the span of a call, where there is anything that would see it. */
export function startSpan<T>(
  { telemetry, targets, options, face, name, codec, once }: Task<T>,
  key: CallKey,
  { runtime, settings }: CallContext,
): CallSpan {
  const around = currentTrace()
  if (!isWatched(around)) return UNWATCHED_CALL
  const { host, port } = targets[0]
  return startCall({
    operation: isFunction(face) ? 'run' : 'chat',
    name,
    clock: runtime.clock,
    key,
    isStored: key.fingerprint !== undefined && (codec !== undefined || once !== undefined),
    around,
    deadlineMs: options.deadlineMs,
    request: telemetry,
    providerName: telemetry?.providerName,
    host,
    port,
    // Left open, the standard environment variable decides; it is off by default.
    content: {
      capture: settings.telemetry?.captureContent,
      redact: settings.telemetry?.redact,
      messages: telemetry?.messages,
    },
  })
}
