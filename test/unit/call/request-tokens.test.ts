import { describe, expect, it } from 'vitest'
import { RequestTokens } from '../../../src/openai/chat/shape.ts'
import { createTargetState } from '../../../src/retry/health/target-state.ts'
import { VirtualClock } from '../retry/virtual-clock.ts'

function target() {
  return { state: createTargetState({ clock: new VirtualClock(), random: () => 0 }) }
}

/** A request whose JSON has 400 characters. */
function requestOf(facts: Readonly<Record<string, unknown>>, at = target()) {
  return { given: { facts }, params: 'x'.repeat(398), targets: [at] }
}

describe('the tokens of a request', () => {
  it.each([
    ['four characters each, and a thousand for an answer without a limit', {}, 1_100],
    ['its own limit', { max_tokens: 50 }, 150],
    ['the newer limit before the older', { max_completion_tokens: 20, max_tokens: 50 }, 120],
    ['every choice', { max_tokens: 50, n: 3 }, 250],
    ['no limit that is none', { max_tokens: Number.NaN, max_completion_tokens: '5' }, 1_100],
  ])('are thought to be %s', (_, facts, expected) => {
    expect(new RequestTokens(requestOf(facts)).estimate(0)).toBe(expected)
  })

  it("are learned of a target's answers: how it counts prompts, and how long answers are", () => {
    const at = target()
    for (let answers = 0; answers < 200; answers++) {
      const tokens = new RequestTokens(requestOf({}, at))
      tokens.estimate(0)
      expect(tokens.used(0, { inputTokens: 250, outputTokens: 40 })).toBe(290)
    }
    expect(new RequestTokens(requestOf({}, at)).estimate(0)).toBeCloseTo(290, -1)
    // Another target has not been heard of.
    expect(new RequestTokens(requestOf({})).estimate(0)).toBe(1_100)
  })

  it('say nothing of how prompts are counted where nobody has thought of them', () => {
    const at = target()
    new RequestTokens(requestOf({}, at)).used(0, { inputTokens: 5, outputTokens: 1_000 })
    expect(new RequestTokens(requestOf({}, at)).estimate(0)).toBe(1_100)
  })

  it('are thought of once, and only where somebody asks', () => {
    let reads = 0
    const request = {
      ...requestOf({}),
      get params() {
        reads += 1
        return 'x'.repeat(398)
      },
    }
    const tokens = new RequestTokens(request)
    tokens.used(0, { inputTokens: 1, outputTokens: 1 })
    expect(reads).toBe(0)
    tokens.estimate(0)
    tokens.estimate(0)
    expect(reads).toBe(1)
  })

  it('are those of the answer where the request has no JSON', () => {
    const request = {
      ...requestOf({ max_tokens: 7 }),
      get params(): unknown {
        throw new TypeError('cyclic')
      },
    }
    expect(new RequestTokens(request).estimate(0)).toBe(7)
  })
})
