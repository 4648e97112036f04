import {
  type Counter,
  createNoopMeter,
  type Gauge,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
  type UpDownCounter,
} from '@opentelemetry/api'
import * as names from './attributes.ts'
import { ClosedSets } from './closed-sets.ts'
import { quietly } from './spans.ts'

/** The instruments; their units and meanings are documented next to their names in `attributes.ts`. */
export interface Instruments {
  readonly operationDuration: Histogram
  readonly timeToFirstChunk: Histogram
  readonly tokenUsage: Histogram
  readonly attemptDuration: Histogram
  readonly callAttempts: Histogram
  readonly retries: Counter
  readonly retryDelay: Histogram
  readonly multipliedRetries: Counter
  readonly repairs: Counter
  readonly reasks: Counter
  readonly keyLookups: Counter
  readonly savedTokens: Counter
  readonly targetTransitions: Counter
  readonly targetState: Gauge
  readonly waitDuration: Histogram
  readonly waitsInVain: Counter
  readonly activeCalls: UpDownCounter
  /** Limits the values of attributes. */
  readonly closed: ClosedSets
}

/** Calls `record` with the instruments, if the application has registered a MeterProvider. */
export function measure(record: (measured: Instruments) => void): void {
  quietly(() => {
    const measured = instruments()
    if (measured !== undefined) record(measured)
  })
}

/** Whether the application has registered a MeterProvider. */
export function isMeasured(): boolean {
  return quietly(instruments) !== undefined
}

// The API has no proxy for meters: an instrument created before the application registers its provider never
// records anything. So instruments are created on first use, once per provider.
const byProvider = new WeakMap<MeterProvider, Instruments | 'none'>()

function instruments(): Instruments | undefined {
  const provider = metrics.getMeterProvider()
  let known = byProvider.get(provider)
  if (known === undefined) {
    const meter = provider.getMeter(names.SCOPE_NAME, names.SCOPE_VERSION, {
      schemaUrl: names.SCHEMA_URL,
    })
    known = meter === createNoopMeter() ? 'none' : create(meter)
    byProvider.set(provider, known)
  }
  return known === 'none' ? undefined : known
}

// The boundaries that the conventions define for both `gen_ai` metrics (gen-ai-metrics, version 1.41).
const SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
]
const TOKENS = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
  67_108_864,
]
// maxAttempts is at most 10. A boundary belongs to the bucket below it, so 0 (replays) has a bucket of its own.
const ATTEMPTS = [0, 1, 2, 3, 4, 5, 7, 10]

function create(meter: Meter): Instruments {
  return {
    operationDuration: meter.createHistogram(names.METRIC_OPERATION_DURATION, {
      description: 'Duration of a chat call with all its attempts and waits',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    timeToFirstChunk: meter.createHistogram(names.METRIC_TIME_TO_FIRST_CHUNK, {
      description: 'Time from the start of a streamed call to its first content',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    tokenUsage: meter.createHistogram(names.METRIC_TOKEN_USAGE, {
      description: 'Tokens of an attempt',
      unit: '{token}',
      advice: { explicitBucketBoundaries: TOKENS },
    }),
    attemptDuration: meter.createHistogram(names.METRIC_ATTEMPT_DURATION, {
      description: 'Duration of one attempt',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    callAttempts: meter.createHistogram(names.METRIC_CALL_ATTEMPTS, {
      description: 'Attempts made for one call',
      unit: '{attempt}',
      advice: { explicitBucketBoundaries: ATTEMPTS },
    }),
    retries: meter.createCounter(names.METRIC_RETRIES, {
      description: 'Retries scheduled',
      unit: '{retry}',
    }),
    retryDelay: meter.createHistogram(names.METRIC_RETRY_DELAY, {
      description: 'Waits before retries',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    multipliedRetries: meter.createCounter(names.METRIC_MULTIPLIED_RETRIES, {
      description: 'Requests added by the retries of another layer',
      unit: '{request}',
    }),
    repairs: meter.createCounter(names.METRIC_REPAIRS, {
      description: 'Local repairs of answers',
      unit: '{repair}',
    }),
    reasks: meter.createCounter(names.METRIC_REASKS, {
      description: 'Answers sent back to the model',
      unit: '{reask}',
    }),
    ...createForTargets(meter),
    keyLookups: meter.createCounter(names.METRIC_KEY_LOOKUPS, {
      description: 'Calls with a stored idempotency key',
      unit: '{lookup}',
    }),
    savedTokens: meter.createCounter(names.METRIC_SAVED_TOKENS, {
      description: 'Tokens saved by replayed and joined calls',
      unit: '{token}',
    }),
    activeCalls: meter.createUpDownCounter(names.METRIC_ACTIVE_CALLS, {
      description: 'Calls that have not ended',
      unit: '{call}',
    }),
    closed: new ClosedSets(),
  }
}

/** The instruments for targets and the waits for them. */
function createForTargets(
  meter: Meter,
): Pick<Instruments, 'targetTransitions' | 'targetState' | 'waitDuration' | 'waitsInVain'> {
  return {
    targetTransitions: meter.createCounter(names.METRIC_TARGET_TRANSITIONS, {
      description: 'State changes of targets',
      unit: '{transition}',
    }),
    targetState: meter.createGauge(names.METRIC_TARGET_STATE, {
      description: 'State of targets: 0 up, 1 recovering, 2 down',
    }),
    waitDuration: meter.createHistogram(names.METRIC_WAIT_DURATION, {
      description: 'Waits for a target, with or without a following attempt',
      unit: 's',
    }),
    waitsInVain: meter.createCounter(names.METRIC_WAITS_IN_VAIN, {
      description: 'Calls that ended because they could not wait any longer for a target',
      unit: '{call}',
    }),
  }
}
