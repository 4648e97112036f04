import { describe, expect, it } from 'vitest'
import { allowancesIn } from '../../../src/openai/request.ts'
import { createTargetState } from '../../../src/retry/health/target-state.ts'
import { VirtualClock } from '../retry/virtual-clock.ts'

const clock = new VirtualClock()

/** Counts the headers that were asked for. */
class Counted extends Headers {
  asked = 0
  override get = (name: string): string | null => {
    this.asked += 1
    return Headers.prototype.get.call(this, name)
  }
}

function openai(remaining: number): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': '100',
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': '6s',
  }
}

class Target {
  readonly state = createTargetState({ clock, random: () => 0 })

  answers(sent: Record<string, string>, status = 200) {
    const headers = new Counted(sent)
    const allowances = allowancesIn(this.state, { headers, status }, clock)
    return { asked: headers.asked, told: allowances?.map(({ remaining }) => remaining) }
  }
}

describe("the headers of a target's answers", () => {
  it('cost one look where there are none, once the first answer had none', () => {
    const target = new Target()
    target.answers({})
    for (let answers = 0; answers < 20; answers++) expect(target.answers({}).asked).toBe(1)
  })

  it('tell what is left as long as that is little, and nothing while it is plenty', () => {
    const target = new Target()
    expect(target.answers(openai(99)).told).toEqual([99])
    expect(target.answers(openai(98))).toEqual({ asked: 2, told: undefined })
    expect(target.answers(openai(10)).told).toEqual([10])
    expect(target.answers(openai(0)).told).toEqual([0])
  })

  it('are found when a target begins to send them', () => {
    const target = new Target()
    target.answers({})
    const found = Array.from({ length: 7 }, () => target.answers(openai(5)).told)
    expect(found).toContainEqual([5])
    expect(target.answers(openai(4)).told).toEqual([4])
  })

  it('are searched for on every refusal, which may be the only answer to have them', () => {
    const target = new Target()
    target.answers({})
    const azure = { 'ratelimit-limit': '30', 'ratelimit-remaining': '0', 'ratelimit-reset': '10' }
    expect(target.answers(azure, 429).told).toEqual([0])
    expect(target.answers({ ...azure, 'ratelimit-remaining': '1' }).told).toEqual([1])
  })

  it('are nothing where nothing came, or no headers', () => {
    const { state } = new Target()
    expect(allowancesIn(state, { headers: undefined, status: undefined }, clock)).toBeUndefined()
  })

  it('are read by the clock of the target', () => {
    const { state } = new Target()
    const headers = new Headers({
      date: 'Sat, 28 Nov 2026 09:00:00 GMT',
      'anthropic-ratelimit-requests-remaining': '0',
      'anthropic-ratelimit-requests-reset': '2026-11-28T09:00:05Z',
    })
    const told = allowancesIn(state, { headers, status: 200 }, clock)
    expect(told).toEqual([{ of: 'requests', refill: 'continuous', remaining: 0, resetMs: 5_000 }])
  })
})
