import { pathOf } from '../../test/support/programs.ts'
import { table } from '../markdown.ts'
import { PLACES } from './places.ts'
import { measure, type Speed, STEPS } from './speed.ts'
import { measureWaiters } from './waiters.ts'

/** Claims per second and added latency of each store, beside plain writes and reads; as Markdown. */
export async function stores(): Promise<string> {
  const measured: { name: string; about: string; speed: Speed }[] = []
  const missing: string[] = []
  for (const { name, about, program, open } of PLACES) {
    if (program !== undefined && pathOf(program) === undefined) {
      missing.push(`${name} was not measured: this machine has no ${program.name}.`)
      continue
    }
    const place = await open()
    const speed = await measure(place, LOAD).finally(() => place.close())
    measured.push({ name, about, speed })
  }
  const { claimsPerSecond, toldAfterMs } = await measureWaiters(100, 5_000)
  return [
    `Steps per second, ${LOAD.keys.toLocaleString('en')} keys, ${LOAD.atOnce} at once (medians of blocks of 500):\n`,
    table(
      ['store', 'plain write', 'claim', 'dispatch', 'complete', 'plain read', 'replay'],
      measured.map(({ name, speed }) => [
        name,
        ...STEPS.map((step) => whole(speed.perSecond[step])),
      ]),
    ),
    `One step alone, µs (median; 99th percentile in brackets), and what a call gets slower by: three steps where it does the work, one where it is replayed:\n`,
    table(
      [
        'store',
        'plain write',
        'claim',
        'dispatch',
        'complete',
        'plain read',
        'replay',
        'first call',
        'replayed',
      ],
      measured.map(({ name, speed: { alone } }) => [
        name,
        ...STEPS.map((step) => `${whole(alone[step].p50)} (${whole(alone[step].p99)})`),
        `+${milliseconds(alone.claim.p50 + alone.dispatch.p50 + alone.complete.p50)}`,
        `+${milliseconds(alone.replay.p50)}`,
      ]),
    ),
    `Waiting for a key that another process works on: ${claimsPerSecond.toFixed(1)} claims per waiter and second ` +
      `(100 waiters, 5 s of work); told ${whole(toldAfterMs.p50)} ms after its end in the median, ` +
      `${whole(toldAfterMs.p99)} ms at the 99th percentile.\n`,
    ...measured.map(({ name, about }) => `- ${name}: ${about}`),
    ...missing.map((line) => `- ${line}`),
    '',
  ].join('\n')
}

const LOAD = { keys: 10_000, atOnce: 64, keysAlone: 500 }

const whole = (number: number) => Math.round(number).toLocaleString('en')
const milliseconds = (us: number) =>
  `${(us / 1_000).toFixed(us < 100 ? 3 : us < 10_000 ? 2 : 1)} ms`

if (import.meta.main) process.stdout.write(await stores())
