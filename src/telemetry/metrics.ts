import {
  type Counter,
  createNoopMeter,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
} from '@opentelemetry/api'
import * as names from './attributes.ts'
import { quietly } from './spans.ts'

/** What steadycall measures; units and meanings are beside the names in `attributes.ts`. */
export interface Instruments {
  readonly operationDuration: Histogram
  readonly tokenUsage: Histogram
  readonly attemptDuration: Histogram
  readonly callAttempts: Histogram
  readonly retries: Counter
  readonly multipliedRetries: Counter
  readonly repairs: Counter
}

/** Calls `record` with the instruments, if the application has registered a MeterProvider. */
export function measure(record: (measured: Instruments) => void): void {
  quietly(() => {
    const measured = instruments()
    if (measured !== undefined) record(measured)
  })
}

// The API has no proxy for meters: an instrument made before the application registers its
// provider records nothing for ever. So they are made on use, once for each provider seen.
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

// The two semantic-convention metrics come with these boundaries (gen-ai-metrics, version 1.41).
const SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
]
const TOKENS = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
  67_108_864,
]
// maxAttempts is at most 10; a bound is the last value of its bucket, so replays stand alone at 0.
const ATTEMPTS = [0, 1, 2, 3, 4, 5, 7, 10]

function create(meter: Meter): Instruments {
  return {
    operationDuration: meter.createHistogram(names.METRIC_OPERATION_DURATION, {
      description: 'Duration of a chat call with all its attempts and waits',
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
    multipliedRetries: meter.createCounter(names.METRIC_MULTIPLIED_RETRIES, {
      description: 'Requests added by retries of somebody else',
      unit: '{request}',
    }),
    repairs: meter.createCounter(names.METRIC_REPAIRS, {
      description: 'Local repairs of answers',
      unit: '{repair}',
    }),
  }
}
