import { describe, expect, it } from 'vitest'
import { figuresOf } from '../../bench/storm/judging.ts'
import { scenarioNamed } from '../../bench/storm/scenarios.ts'
import { PATIENCE, runsOf } from './medians-of.ts'

type Figure = keyof ReturnType<typeof figuresOf>

/** A part, the scenario that needs it, and the bound that only the whole keeps. */
const CONTROLS: readonly (readonly [
  part: string,
  what: string,
  scenario: string,
  figure: Figure,
  bound: { readonly least: number } | { readonly most: number },
])[] = [
  ['no limits', 'a brownout goes on after its end', 'B', 'goodput', { least: 99 }],
  ['no slow start', 'who waited comes back as a wave', 'A', 'waveAfter', { most: 75 }],
  ['no patience', 'a pool burns through its calls', 'pool8', 'goodput', { least: 99 }],
  ['newest first', 'who came first waits in vain', 'x2-503-60', 'goodput', { least: 99 }],
  ['no probes', 'an outage is met by everybody', 'A', 'amplification', { most: 1.2 }],
  ['no slow-failure rule', 'small clients keep it down', 'H', 'goodput', { least: 75 }],
  ['no latency sign', 'a queue fills until all time out', 'x2-queue-60', 'goodput', { least: 99 }],
  ['no experiment', 'chance is taken for overload', 'batch10-503', 'endedS', { most: 130 }],
  ['no disproof', 'a hint far too long is believed', 'x2-far-60', 'goodput', { least: 98 }],
  ['no tiny rule', 'a thousand probe at once', 'A1000', 'goodput', { least: 87 }],
  [
    'any success ends a row',
    'a window that is spent is asked on and on',
    'hidden-window-silent',
    'inVain',
    { most: 5 },
  ],
]

describe.each(CONTROLS)('%s: %s', (part, _what, scenario, figure, bound) => {
  const isKept = async (policy: string) => {
    const value = figuresOf(scenarioNamed(scenario), await runsOf(scenario, policy))[figure]
    return 'least' in bound ? value >= bound.least : value <= bound.most
  }

  it('is seen, and not with the part in its place', PATIENCE, async () => {
    expect(await isKept('steadycall')).toBe(true)
    expect(await isKept(part)).toBe(false)
  })
})
