import { beforeAll, expect, it } from 'vitest'
import { ok } from '../../src/testing/index.ts'
import { describeWith } from '../support/describe-with.ts'
import { pathOf } from '../support/programs.ts'
import { patientRuntime } from '../support/set-up.ts'
import type { CrashStore } from './crash-store.ts'
import type { Crash } from './dying-store.ts'
import { openStore } from './open-store.ts'
import { start, untilStopped } from './processes.ts'
import { held, startProvider } from './provider.ts'
import { DURABLE } from './stores.ts'
import { callOnce, type Told, type Work } from './worker.ts'

/** An owner that is paused for longer than its lease, and then goes on as if nothing had been. */
interface Pause {
  readonly name: string
  /** Undefined: stopped from outside, once its request has arrived. */
  readonly crash?: Omit<Crash, 'signal'>
  readonly onUncertain: 'rerun' | 'fail'
  /** What whoever comes next gets, while the owner is paused. */
  readonly next: 'own work' | 'outcome_unknown'
  /** What the owner gets when it goes on. */
  readonly owner: 'what is stored' | 'its own, kept'
  readonly requests: number
}

const PAUSES: readonly Pause[] = [
  {
    name: 'with the claim',
    crash: { verb: 'claim', when: 'after' },
    onUncertain: 'rerun',
    next: 'own work',
    owner: 'what is stored',
    requests: 1,
  },
  {
    name: 'with the claim',
    crash: { verb: 'claim', when: 'after' },
    onUncertain: 'fail',
    next: 'own work',
    owner: 'what is stored',
    requests: 1,
  },
  {
    name: 'after the mark, before a byte left',
    crash: { verb: 'dispatch', when: 'after' },
    onUncertain: 'rerun',
    next: 'own work',
    owner: 'what is stored',
    requests: 1,
  },
  {
    // It knows that it sent nothing, so it takes the doubt back, and begins anew.
    name: 'after the mark, before a byte left',
    crash: { verb: 'dispatch', when: 'after' },
    onUncertain: 'fail',
    next: 'outcome_unknown',
    owner: 'its own, kept',
    requests: 1,
  },
  {
    name: 'while its request is under way',
    onUncertain: 'rerun',
    next: 'own work',
    owner: 'what is stored',
    requests: 2,
  },
  {
    name: 'while its request is under way',
    onUncertain: 'fail',
    next: 'outcome_unknown',
    owner: 'its own, kept',
    requests: 1,
  },
  {
    name: 'with the answer, before it is kept',
    crash: { verb: 'complete', when: 'before' },
    onUncertain: 'rerun',
    next: 'own work',
    owner: 'what is stored',
    requests: 2,
  },
  {
    name: 'with the answer, before it is kept',
    crash: { verb: 'complete', when: 'before' },
    onUncertain: 'fail',
    next: 'outcome_unknown',
    owner: 'its own, kept',
    requests: 1,
  },
]

interface Played {
  readonly next: Told
  readonly owner: Told | undefined
  readonly later: Told
  readonly requests: number
}

/** All pauses with all stores at once, since each takes as long as a lease: begun by the first who asks. */
let playing: ReadonlyMap<string, Promise<readonly Played[]>> | undefined

function playAll(): ReadonlyMap<string, Promise<readonly Played[]>> {
  const present = DURABLE.filter(({ programs }) => programs.every((each) => pathOf(each)))
  return new Map(
    present.map(({ name, start: startStore }) => {
      const plays = playIn(startStore)
      // Whoever waits for it sees the failure.
      plays.catch(() => {})
      return [name, plays]
    }),
  )
}

async function playIn(startStore: () => Promise<CrashStore>): Promise<readonly Played[]> {
  const home = await startStore()
  const survivors = await openStore(home.address)
  try {
    return await Promise.all(PAUSES.map((pause) => play(pause, home, survivors.store)))
  } finally {
    await survivors.close()
    await home.close()
  }
}

for (const { name: kind, programs } of DURABLE) {
  describeWith(programs, `${kind}: an owner stopped past its lease`, () => {
    let played: readonly Played[] = []
    beforeAll(async () => {
      playing ??= playAll()
      played = (await playing.get(kind)) ?? []
    })

    it.each(PAUSES.map((pause, index) => ({ ...pause, index })))(
      "$name, under '$onUncertain': the next gets $next, it gets $owner; requests: $requests",
      ({ index, next, owner, requests }) => {
        const found = played[index]
        if (found === undefined) throw new Error('not played')
        expect(found.requests).toBe(requests)
        expect(found.next).toMatchObject(
          next === 'own work' ? { source: 'provider', persisted: true } : { kind: next },
        )
        const kept = owner === 'what is stored' ? found.next : found.owner
        expect(kept).toMatchObject({ source: 'provider', persisted: true })
        expect(found.owner?.answer).toBe(kept?.answer)
        expect(found.later).toMatchObject({ source: 'store', answer: kept?.answer })
      },
    )
  })
}

async function play(
  { name, crash, onUncertain }: Pause,
  home: CrashStore,
  store: Awaited<ReturnType<typeof openStore>>['store'],
): Promise<Played> {
  const answer = held(ok())
  const provider = await startProvider([answer.fault])
  if (crash !== undefined) answer.go()
  const work: Work = {
    store: home.address,
    baseURL: provider.baseURL,
    key: `${name} ${onUncertain}`,
    face: 'json',
    onUncertain,
    ...(crash !== undefined && { crash: { ...crash, signal: 'SIGSTOP' } }),
  }
  const owner = start(work)
  try {
    if (crash === undefined) {
      await provider.untilArrived()
      owner.child.kill('SIGSTOP')
    }
    await untilStopped(owner)
    answer.go()
    const next = await callOnce(work, store, patientRuntime())
    owner.child.kill('SIGCONT')
    const { told } = await owner.ended
    const later = await callOnce(work, store, patientRuntime())
    return { next, owner: told[0], later, requests: provider.count }
  } finally {
    owner.child.kill('SIGKILL')
    await provider.close()
  }
}
