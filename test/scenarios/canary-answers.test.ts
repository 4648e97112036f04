import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { type CallEvent, callReport, formatReport, memoryStore } from '../../src/index.ts'
import { answers, callsTool, type Fault } from '../../src/testing/index.ts'
import { exportOverHttp } from '../support/otel.ts'
import { ask, setUp } from '../support/set-up.ts'

/** What only the answer says: three times, so that each can be a key, a value, or a number. */
const KEY = `key-${randomUUID()}`
const VALUE = `value-${randomUUID()}`
const DIGITS = '4111111111111111'

const number = { type: 'number' }
const AMOUNTS = { type: 'object', additionalProperties: number } as const
const TREE = {
  $defs: {
    node: {
      type: 'object',
      properties: { v: number },
      additionalProperties: { $ref: '#/$defs/node' },
    },
  },
  $ref: '#/$defs/node',
} as const
const KEYWORDS = {
  type: 'object',
  properties: { kind: { enum: ['cat'] }, list: { uniqueItems: true, items: { pattern: '^a' } } },
  patternProperties: { '^value': { const: 1 } },
  propertyNames: { maxLength: 100 },
  dependentRequired: { kind: ['list'] },
  unevaluatedProperties: false,
} as const
const UNION = { anyOf: [AMOUNTS, { type: 'array', items: AMOUNTS }] } as const
const RECORD = z.record(
  z.string(),
  z.string().refine((text) => text === '', { error: ({ input }) => `not ${input}` }),
)
const STRICT = z.object({ a: z.looseObject({}) }).superRefine(({ a }, context) => {
  for (const key of Object.keys(a))
    context.addIssue({ code: 'custom', message: `no ${key}`, path: ['a', key] })
})

type Schema = Parameters<Awaited<ReturnType<typeof setUp>>['llm']['json']>[0]['schema']
const CASES: readonly (readonly [string, Schema])[] = [
  [`{"${KEY}":"5"}`, AMOUNTS],
  [`{"${KEY}":"${VALUE}"}`, AMOUNTS],
  [`{"${DIGITS}":"5"}`, AMOUNTS],
  [`{"${DIGITS}":"${VALUE}"}`, AMOUNTS],
  [`{"${DIGITS}":12345678901234567891.0}`, AMOUNTS],
  [`{"${KEY}":{"${VALUE}":{"v":"1"}}}`, TREE],
  [`{"${KEY}":{"${VALUE}":{"v":"${VALUE}"}}}`, TREE],
  [`{"kind":"${VALUE}","list":["${KEY}","${KEY}"],"${VALUE}":2,"${KEY}":1}`, KEYWORDS],
  [`[{"${KEY}":"1"},{"${DIGITS}":"${VALUE}"}]`, UNION],
  [`{"${KEY}":"${VALUE}"}`, RECORD],
  [`{"a":{"${KEY}":1}}`, STRICT],
  [`{"${KEY}":{"a":{"x":"${VALUE}"}}}`, STRICT],
  [`Well, ${VALUE}: {'${KEY}': '7',}`, AMOUNTS],
  [`{"${KEY}": ${VALUE} ${VALUE}`, AMOUNTS],
  [`{"${KEY}": "${VALUE} ${VALUE}`, AMOUNTS],
]

it('nothing that only an answer says is in an event, a report, an error or a span', async () => {
  const otel = await exportOverHttp()
  const events: CallEvent[] = []
  const shown: string[] = []
  const faults = new Map<string, readonly Fault[]>()
  const { llm } = await setUp(
    {
      callOf: ({ headers }) => String(headers['x-fault-call']),
      perCall: (id) => faults.get(id) ?? [],
    },
    {
      store: memoryStore(),
      maxAttempts: 2,
      limits: 'off',
      onEvent: (event) => events.push(event),
    },
  )
  const show = (outcome: unknown) => {
    const report = callReport(outcome)
    shown.push(inspect(report, { depth: 9 }), JSON.stringify(report))
    if (report !== undefined) shown.push(formatReport(report))
    if (!(outcome instanceof Error)) return
    shown.push(outcome.message, inspect(outcome, { depth: 9 }), JSON.stringify(outcome))
  }
  const outcomes: string[] = []
  const settle = async (call: PromiseLike<object>) => {
    const outcome = await Promise.resolve(call).catch((error: unknown) => error)
    show(outcome)
    outcomes.push(callReport(outcome)?.outcome ?? 'none')
  }
  for (const [answer, schema] of CASES) {
    const idempotencyKey = `case ${outcomes.length}`
    faults.set(idempotencyKey, [answers(answer), answers(answer)])
    const requestOptions = { headers: { 'x-fault-call': idempotencyKey } }
    await settle(llm.json({ ...ask('x'), schema }, { idempotencyKey, requestOptions }))
    await settle(llm.json({ ...ask('x'), schema }, { idempotencyKey, requestOptions }))
  }
  for (const argument of [`{"${KEY}":"5"}`, `{"${KEY}":"${VALUE}"}`, `{"${DIGITS}":{}}`, VALUE]) {
    faults.set(argument, [callsTool('save', argument), callsTool('save', argument)])
    const tools = [{ type: 'function' as const, function: { name: 'save', parameters: AMOUNTS } }]
    const steady = { toolCalls: 'check' as const }
    await settle(
      llm.chat.completions.create(
        { ...ask('x'), tools },
        { steady, headers: { 'x-fault-call': argument } },
      ),
    )
  }
  await otel.flush()

  expect(new Set(outcomes)).toEqual(
    new Set(['success', 'schema_mismatch', 'malformed_output', 'truncated']),
  )
  const all = [
    ...shown,
    JSON.stringify(events),
    inspect(events, { depth: 9 }),
    ...otel.bodies,
  ].join('\n')
  expect(all).toContain('/*')
  for (const canary of [KEY, VALUE, DIGITS, '12345678901234567891'])
    expect(all).not.toContain(canary)
})
