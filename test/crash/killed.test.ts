import { afterAll, beforeAll, expect, it } from 'vitest'
import { resolveIdempotent, type Store } from '../../src/index.ts'
import {
  type Fault,
  hangs,
  invalidApiKey,
  ok,
  resetBeforeResponse,
} from '../../src/testing/index.ts'
import { describeWith } from '../support/describe-with.ts'
import { patientRuntime } from '../support/set-up.ts'
import type { CrashStore } from './crash-store.ts'
import { DOUBT_CASES, KILL_CASES, type KillCase } from './kill-cases.ts'
import { openStore } from './open-store.ts'
import { start } from './processes.ts'
import { startProvider } from './provider.ts'
import { DURABLE } from './stores.ts'
import { callOnce, type Work } from './worker.ts'

const FIRST: Readonly<Record<KillCase['first'], () => Fault>> = {
  answer: ok,
  refusal: invalidApiKey,
  reset: resetBeforeResponse,
  silence: hangs,
}

const ROWS = [
  ...KILL_CASES.flatMap((row) => [
    { ...row, onUncertain: 'rerun' as const, expected: row.rerun },
    { ...row, onUncertain: 'fail' as const, expected: row.fail },
  ]),
  ...DOUBT_CASES.map((row) => ({ ...row, onUncertain: 'fail' as const, expected: row.fail })),
]

for (const { name: kind, programs, start: startStore } of DURABLE) {
  describeWith(programs, `${kind}: an owner killed`, () => {
    let home: CrashStore
    let survivors: Awaited<ReturnType<typeof openStore>>
    beforeAll(async () => {
      home = await startStore()
      survivors = await openStore(home.address)
    })
    afterAll(async () => {
      await survivors?.close()
      await home?.close()
    })

    it.concurrent.for(ROWS)(
      "$name, under '$onUncertain': $expected.next, and $expected.executed executed",
      async ({ name, crash, first, onUncertain, expected }, { onTestFinished }) => {
        const provider = await startProvider([FIRST[first]()])
        onTestFinished(() => provider.close())
        const work: Work = {
          store: home.address,
          baseURL: provider.baseURL,
          key: `${name} ${onUncertain}`,
          face: 'json',
          onUncertain,
          lapses: true,
          ...(crash !== undefined && { crash: { ...crash, signal: 'SIGKILL' } }),
        }
        const owner = start(work)
        if (crash === undefined) {
          await provider.untilArrived()
          owner.child.kill('SIGKILL')
        }
        expect(await owner.ended).toEqual({ told: [], signal: 'SIGKILL' })

        const next = await callOnce(work, survivors.store, patientRuntime())
        expect(next).toMatchObject(
          expected.next === 'outcome_unknown'
            ? { kind: 'outcome_unknown' }
            : { source: expected.next === 'stored' ? 'store' : 'provider', persisted: true },
        )
        expect(provider.executed).toBe(expected.executed)
        if (expected.next !== 'outcome_unknown') return
        await resolve(work, survivors.store)
        expect(await callOnce(work, survivors.store, patientRuntime())).toMatchObject({
          source: 'provider',
        })
        expect(provider.executed).toBe(expected.executed + 1)
      },
    )
  })
}

/** The operator's way out: it was found out that nothing had been done. */
async function resolve({ key }: Work, store: Store): Promise<void> {
  const record = { store, operation: 'chat', idempotencyKey: key }
  expect(await resolveIdempotent(record, 'rerun')).toBe(true)
}
