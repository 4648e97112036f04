import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Classification,
  classify,
  classifyError,
  classifyErrorBody,
  classifyErrorChunk,
} from '../../src/errors/classify.ts'
import { FAILURE_KINDS } from '../../src/errors/failure-kinds.ts'
import { WORDING_RULES } from '../../src/errors/match-wording.ts'
import { fuzzRuns } from '../support/fuzz-runs.ts'

const FIELDS = [
  'status',
  'statusCode',
  'code',
  'name',
  'type',
  'reason',
  'message',
  'error',
  'errors',
  'lastError',
  'cause',
  'headers',
  'response',
  'responseBody',
  'data',
  'body',
  'choices',
  'finish_reason',
  'delta',
  'content',
  'detail',
  'details',
  'metadata',
  'raw',
  'reasons',
  'availability',
  'base_resp',
  'status_code',
  'quotaId',
  'retryDelay',
  'retry_after',
  'get',
  'constructor',
  '__proto__',
]

const throws = () => {
  throw new Error('trap')
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

function cyclic(): object {
  const node: { cause?: unknown; errors?: unknown; error?: unknown; message: string } = {
    message: '{"error":{}}',
  }
  node.cause = node
  node.errors = [node, node]
  node.error = node
  return node
}

const TRAPS = { get: throws, has: throws, ownKeys: throws, getPrototypeOf: throws }

/** What no honest client throws. */
const HOSTILE: readonly (() => unknown)[] = [
  revoked,
  cyclic,
  () => new Proxy({}, TRAPS),
  () => new Proxy([], TRAPS),
  () => new Proxy({}, { get: () => cyclic() }),
  () => new Proxy([], { get: (_, key) => (key === 'length' ? 2 ** 32 - 1 : revoked()) }),
  () => Object.fromEntries(FIELDS.map((field) => [field, revoked()])),
  () => Object.defineProperties({}, Object.fromEntries(FIELDS.map((f) => [f, { get: throws }]))),
  () => ({ toString: throws, [Symbol.toPrimitive]: throws }),
  () => ({ status: 429, headers: { get: throws } }),
  () => ({ status: 429, headers: { get: () => ({ toString: throws }) } }),
  () => Object.create(null),
  () => Object.freeze({ status: 500, message: '['.repeat(10_000) }),
  () => Symbol('error'),
  () => () => 1,
  () => 2n ** 200n,
  () => Number.NaN,
]

const hostile = fc.constantFrom(...HOSTILE)

const sentences = fc.constantFrom(
  ...WORDING_RULES.map(({ example: [, body] }) => body),
  "{'error': {'code': 'insufficient_quota', 'message': \"x\"}}",
  'try again in 5s',
  '{"a":',
  '\u0000\ud800"{["',
)

/** Looks like an error where it matters, with anything at all inside. */
const errorLike = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }),
    fc.integer({ min: 100, max: 700 }),
    fc.string(),
    sentences,
    hostile,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie('node')),
  ),
})).node

/** With the hostile objects in their places: a generator could not carry them. */
function arm(value: unknown): unknown {
  const make = HOSTILE.find((candidate) => candidate === value)
  if (make !== undefined) return make()
  if (Array.isArray(value)) return value.map(arm)
  if (typeof value !== 'object' || value === null) return value
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, arm(inner)]))
}

const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  sentences,
  fc.json(),
  fc
    .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', "'", ':', ' ', 'code', '4'), {
      maxLength: 80,
    })
    .map((parts) => parts.join('')),
)

function expectWhole(verdict: Classification): void {
  expect(Object.hasOwn(FAILURE_KINDS, verdict.kind)).toBe(true)
  expect(typeof verdict.retryable).toBe('boolean')
  expect(['no', 'maybe', 'yes']).toContain(verdict.executed)
  const { retryAfterMs = 0, code = 'x', status = 500, requestId = 'x' } = verdict
  expect(Number.isFinite(retryAfterMs) && retryAfterMs >= 0).toBe(true)
  expect(code).toMatch(/^[\w.:-]{1,100}$/)
  expect(Number.isInteger(status)).toBe(true)
  expect(requestId.length).toBeLessThanOrEqual(200)
}

describe('classification', () => {
  it('never throws, whatever was thrown, and always yields a whole verdict', () => {
    fc.assert(
      fc.property(errorLike, anyText, fc.integer({ min: 100, max: 700 }), (armed, body, status) => {
        const error = arm(armed)
        expectWhole(classifyError(error, 0))
        expectWhole(classify(error, { status, body, now: 0 }))
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  it('never throws, whatever was answered', () => {
    fc.assert(
      fc.property(errorLike, anyText, (armed, text) => {
        const answer = arm(armed)
        for (const body of [answer, text, { choices: [answer] }, { error: answer }]) {
          for (const verdict of [classifyErrorBody(body), classifyErrorChunk(body)]) {
            if (verdict !== undefined) expectWhole(verdict)
          }
        }
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  it('never throws on headers whose value is a proxy that has been revoked', () => {
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    expectWhole(classifyErrorBody({ error: {}, headers: { get: () => proxy } }) ?? classify(''))
  })

  it('never throws on a hostile object in any place', () => {
    fc.assert(
      fc.property(hostile, fc.constantFrom(...FIELDS), (make, field) => {
        for (const error of [make(), { [field]: make() }, { status: 429, [field]: make() }]) {
          expectWhole(classifyError(error, 0))
        }
        classifyErrorBody({ [field]: make() })
        classifyErrorChunk({ choices: [{ finish_reason: 'error_finish', [field]: make() }] })
      }),
    )
  })

  it('never puts words of a body into the code', () => {
    fc.assert(
      fc.property(fc.string(), (words) => {
        fc.pre(!/^[\w.:-]*$/.test(words))
        const body = JSON.stringify({ error: { code: words, type: words, message: words } })
        expect(classify({ status: 400 }, { body, now: 0 }).code).not.toBe(words)
      }),
    )
  })

  it('says the same of a body, however many relays have wrapped it', () => {
    const wrappers: readonly ((body: string) => object)[] = [
      (body) => ({ error: { message: body } }),
      (body) => ({ error: { message: `litellm.APIError: OpenAIException - ${body}` } }),
      (body) => ({ error: { message: 'Provider returned error', metadata: { raw: body } } }),
      (body) => ({ error: body }),
      (body) => ({ detail: body }),
    ]
    const rules = WORDING_RULES.filter(
      // a whole text is no longer whole, nor is one that says nothing else, and a scoped status is
      // another with another wrapper
      ({ when, example: [status, body] }) =>
        status !== 200 &&
        body.startsWith('{') &&
        when.whole === undefined &&
        when.only === undefined,
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...rules),
        fc.array(fc.constantFrom(...wrappers), { minLength: 1, maxLength: 3 }),
        ({ kind, example: [status, body] }, chosen) => {
          const wrapped = chosen.reduce((inner, wrap) => JSON.stringify(wrap(inner)), body)
          expect(classify({ status }, { body: wrapped, now: 0 }).kind).toBe(kind)
        },
      ),
      { numRuns: fuzzRuns(300) },
    )
  })
})

describe('the work of a classification', () => {
  // Each would take minutes to hours where one step were quadratic.
  const SIZE = 10_000_000
  const many = (part: string) => part.repeat(SIZE / part.length)

  it.each<[string, string]>([
    ['spaces', many(' ')],
    ['opening brackets', many('[')],
    ['opening braces', many('{')],
    ['the beginnings of objects', many('{"')],
    ['the beginnings of lists of objects', many('[ { "')],
    ['brackets far from their objects', `[${many(' ')}{`],
    ['a string that never ends', `{"${many('x')}`],
    ['escaped quotes', `{"${many('\\"')}`],
    ['backslashes', `{"${many('\\')}`],
    ['quoted fields', many(`'code': 'a', `)],
    ['digits', `try again in ${many('9')}s`],
    ['leads without a wait', many('try again in 5 ')],
    ['waits that never end', `try again in ${many('1s')}`],
    ['limits', many('limit 1,111,111')],
    ['a good error behind a long one', `{"error":{"message":"${many('x')}"}}`],
    ['nested objects', `${'{"error":'.repeat(200_000)}1${'}'.repeat(200_000)}`],
    [
      'nested quotes',
      Array.from({ length: 12 }).reduce<string>((inner) => JSON.stringify({ error: inner }), 'x'),
    ],
    ['many errors', `[${Array.from({ length: 100_000 }, () => '{"message":"x"}').join()}]`],
    ['many fields', `{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":1`).join()}}`],
  ])('stays small for %s', (_, text) => {
    const started = performance.now()
    classify({ status: 429 }, { body: text, now: 0 })
    classifyError(new Error(text), 0)
    classifyError({ status: 500, error: { message: text, metadata: { raw: text } } }, 0)
    classifyError({ status: 429, headers: { 'retry-after': text, date: text } }, 0)
    classifyErrorBody({ error: text, base_resp: { status_code: 1, status_msg: text } })
    classifyErrorBody(text)
    // One of the six takes some milliseconds; one that is not linear takes minutes.
    expect(performance.now() - started).toBeLessThan(60_000)
  })

  it('reads a bounded number of properties, however large the error is', () => {
    const countReads = (width: number): number => {
      let reads = 0
      const wide = (depth: number): object =>
        new Proxy(Array.from({ length: depth === 0 ? 0 : width }), {
          get(target, key) {
            reads++
            if (key === 'length' || typeof key === 'symbol') return Reflect.get(target, key)
            return Number.isInteger(Number(key)) ? wide(depth - 1) : Reflect.get(target, key)
          },
        })
      classifyError({ status: 500, error: { errors: wide(3) }, errors: wide(3), choices: wide(3) })
      return reads
    }
    const few = countReads(50)
    expect(few).toBeGreaterThan(0)
    expect(countReads(5_000)).toBeLessThanOrEqual(few * 2)
  })

  it('visits no more errors of an aggregate than it has to', () => {
    let made = 0
    const aggregate = (depth: number): object => ({
      get errors() {
        made++
        return depth === 0 ? [] : Array.from({ length: 1_000 }, () => aggregate(depth - 1))
      },
    })
    expect(classifyError(aggregate(3)).kind).toBe('unknown')
    expect(made).toBeLessThan(200)
  })
})
