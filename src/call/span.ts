import type { Context } from '@opentelemetry/api'
import { type CallSpan, startCall } from '../telemetry/telemetry.ts'
import type { CallKey } from './key.ts'
import type { CallContext, Task } from './task.ts'

/** Starts the span of a call, for those that watch. */
export function startSpan<T>(
  task: Task<T>,
  key: CallKey,
  { runtime, settings }: CallContext,
  around: Context | undefined,
): CallSpan {
  const { targets, options, isFunction, name, codec, once } = task
  const { host, port } = targets[0]
  const asked = task.describe?.()
  return startCall({
    operation: isFunction ? 'run' : 'chat',
    name,
    clock: runtime.clock,
    key,
    isStored: key.fingerprint !== undefined && (codec !== undefined || once !== undefined),
    around,
    deadlineMs: options.deadlineMs,
    request: asked,
    providerName: asked?.providerName,
    host,
    port,
    // Left open, the standard environment variable decides; it is off by default.
    content: {
      capture: settings.telemetry?.captureContent,
      redact: settings.telemetry?.redact,
      messages: asked?.messages,
    },
  })
}
