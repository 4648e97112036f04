import type { Crash } from './dying-store.ts'

/** One row of the crash table, under both policies. */
export interface KillCase {
  readonly name: string
  /** Undefined: killed from outside, once the request has arrived and before it is answered. */
  readonly crash?: Omit<Crash, 'signal'>
  /** What the first request meets: it decides which way the record goes. */
  readonly first: 'answer' | 'refusal' | 'reset' | 'silence'
  /** What the next caller gets, and how many requests arrived in all that may have been executed. */
  readonly rerun: Expected
  readonly fail: Expected
}

interface Expected {
  readonly next: 'own work' | 'stored' | 'outcome_unknown'
  readonly executed: number
}

const ran = (executed: number): Expected => ({ next: 'own work', executed })
const replayed: Expected = { next: 'stored', executed: 1 }
const inDoubt = (executed: number): Expected => ({ next: 'outcome_unknown', executed })

/**
 * Every step of a record's life at which its owner can die. Nothing is sent before the mark, and
 * nothing is in doubt before it; after it only a settled record is known to be done.
 */
export const KILL_CASES: readonly KillCase[] = [
  {
    name: 'before the claim',
    crash: { verb: 'claim', when: 'before' },
    first: 'answer',
    rerun: ran(1),
    fail: ran(1),
  },
  {
    name: 'after the claim',
    crash: { verb: 'claim', when: 'after' },
    first: 'answer',
    rerun: ran(1),
    fail: ran(1),
  },
  {
    name: 'before the mark of the dispatch',
    crash: { verb: 'dispatch', when: 'before' },
    first: 'answer',
    rerun: ran(1),
    fail: ran(1),
  },
  {
    name: 'after the mark, before a byte left',
    crash: { verb: 'dispatch', when: 'after' },
    first: 'answer',
    rerun: ran(1),
    fail: inDoubt(0),
  },
  {
    name: 'after the request arrived, before its answer',
    first: 'silence',
    rerun: ran(2),
    fail: inDoubt(1),
  },
  {
    name: 'after the answer, before it was kept',
    crash: { verb: 'complete', when: 'before' },
    first: 'answer',
    rerun: ran(2),
    fail: inDoubt(1),
  },
  {
    name: 'after the answer was kept, before the caller had it',
    crash: { verb: 'complete', when: 'after' },
    first: 'answer',
    rerun: replayed,
    fail: replayed,
  },
  {
    name: 'after a refusal, before the key was given back',
    crash: { verb: 'release', when: 'before' },
    first: 'refusal',
    rerun: ran(1),
    fail: inDoubt(0),
  },
  {
    name: 'after a refusal, when the key was given back',
    crash: { verb: 'release', when: 'after' },
    first: 'refusal',
    rerun: ran(1),
    fail: ran(1),
  },
]

/** Steps that there are under 'fail' only: the work may have been done, and that is to be noted. */
export const DOUBT_CASES: readonly (Pick<KillCase, 'name' | 'first' | 'fail'> & {
  readonly crash: Omit<Crash, 'signal'>
})[] = [
  {
    name: 'after a reset, before the doubt was noted',
    crash: { verb: 'markUncertain', when: 'before' },
    first: 'reset',
    fail: inDoubt(1),
  },
  {
    name: 'after a reset, when the doubt was noted',
    crash: { verb: 'markUncertain', when: 'after' },
    first: 'reset',
    fail: inDoubt(1),
  },
]
