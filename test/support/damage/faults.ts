import type { FaultName } from '../../../bench/output/goals.ts'
import type { Random } from './random.ts'
import { asText, type Token, type TokenKind } from './writing.ts'

/** The tokens after a fault, and where it is. Nothing, where the fault cannot be made. */
export type Faulty = { readonly tokens: readonly Token[]; readonly at: number } | undefined
/** `far` leaves out the surroundings of an earlier fault. */
export type Fault = (
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
) => Faulty

/** Faults of single tokens. */
export const FAULTS = {
  'opening quote lost': quoteLost((text) => text.slice(1)),
  'closing quote lost': quoteLost((text) => text.slice(0, -1)),
  'comma lost': lost('comma'),
  'colon lost': lost('colon'),
  'bracket lost': bracketLost,
  'bracket of the wrong kind': wrongKind,
  'token doubled': doubled,
  'stray word': strayWord,
  'inner quotes of one string raw': innerQuotes((text) => text.replaceAll('\\"', '"')),
  'one inner quote raw': innerQuotes((text, random) => {
    const places = [...text.matchAll(/\\"/g)].map(({ index }) => index)
    const place = random.pick(places)
    return text.slice(0, place) + text.slice(place + 1)
  }),
} satisfies Partial<Record<FaultName, Fault>>

/** All strings with quotes in them, at least two, have them raw. */
export function allInnerQuotesRaw(tokens: readonly Token[]): readonly Token[] | undefined {
  const damaged = tokens.map((token) =>
    hasQuotation(token) ? { ...token, text: token.text.replaceAll('\\"', '"') } : token,
  )
  const count = damaged.filter((token, index) => token !== tokens[index]).length
  return count < 2 ? undefined : damaged
}

/** Cut within the text, so that something is missing. */
export function cut(tokens: readonly Token[], random: Random): string {
  const text = asText(tokens)
  return text.slice(0, 1 + random.below(text.length - 1))
}

function quoteLost(without: (text: string) => string): Fault {
  return (tokens, random, far) =>
    replaceOne(
      tokens,
      pickIndex(tokens, random, (token, index) => isQuoted(token) && far(index)),
      without,
    )
}

function lost(kind: TokenKind): Fault {
  return (tokens, random, far) => {
    const at = pickIndex(tokens, random, (token, index) => {
      if (token.kind !== kind || !far(index)) return false
      const [before, after] = [tokens[index - 1], tokens[index + 1]]
      // Two that grow together are another number or word, and no fault.
      return !(isBare(before) && isBare(after) && after?.gap === '')
    })
    return at === undefined ? undefined : { tokens: tokens.toSpliced(at, 1), at }
  }
}

function bracketLost(
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
): Faulty {
  const kind = random.chance(0.6) ? 'close' : 'open'
  const at = pickIndex(tokens, random, (token, index) => token.kind === kind && far(index))
  return at === undefined ? undefined : { tokens: tokens.toSpliced(at, 1), at }
}

function wrongKind(
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
): Faulty {
  return replaceOne(
    tokens,
    pickIndex(tokens, random, ({ kind }, index) => kind === 'close' && far(index)),
    (text) => (text === ']' ? '}' : ']'),
  )
}

/** In a list, a doubled value would be one more element that lacks a comma: another value. */
function doubled(
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
): Faulty {
  const at = pickIndex(tokens, random, ({ kind, inside }, index) => {
    const isValue = kind === 'string' || kind === 'number' || kind === 'word'
    return far(index) && (!isValue || inside === 'object')
  })
  const token = at === undefined ? undefined : tokens[at]
  if (at === undefined || token === undefined) return undefined
  const again = { ...token, gap: token.gap === '' && isBare(token) ? ' ' : token.gap }
  return { tokens: tokens.toSpliced(at, 0, again), at }
}

const STRAY = ['note', 'wait', 'ok', 'maybe', 'see', 'the', 'END', 'and', 'hmm', 'one']

function strayWord(
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
): Faulty {
  const text = random.pick(STRAY)
  const edge = random.chance(0.5) ? 0 : tokens.length
  const at = random.chance(0.12)
    ? edge
    : pickIndex(tokens, random, ({ kind }, index) => {
        if (index === 0 || !far(index)) return false
        // In an empty container it would be the content.
        return !(kind === 'close' && tokens[index - 1]?.kind === 'open')
      })
  if (at === undefined || !far(at)) return undefined
  const next = tokens[at]
  const word: Token = { kind: 'word', gap: at === 0 ? '' : ' ', text, inside: 'root' }
  const rest = next === undefined ? [] : [next.gap === '' ? { ...next, gap: ' ' } : next]
  return { tokens: tokens.toSpliced(at, rest.length, word, ...rest), at }
}

function innerQuotes(damage: (text: string, random: Random) => string): Fault {
  return (tokens, random, far) =>
    replaceOne(
      tokens,
      pickIndex(tokens, random, (token, index) => hasQuotation(token) && far(index)),
      (text) => damage(text, random),
    )
}

/**
 * Quotes in prose or code. Where a raw quote, a comma or colon and another quote would follow each
 * other, two strings is what the text would honestly say.
 */
function hasQuotation({ kind, text, content = '' }: Token): boolean {
  return (
    kind === 'string' &&
    content.length > 3 &&
    text.includes('\\"') &&
    !/"\s*[,:]\s*"|^\{|[{[,:]\s*"[^"]*"\s*[\]},:]/.test(content)
  )
}

// A bare key would lose a letter.
const isQuoted = ({ kind, text }: Token) =>
  (kind === 'string' || kind === 'key') && text.startsWith('"')
const isBare = (token: Token | undefined) => token?.kind === 'number' || token?.kind === 'word'

function replaceOne(
  tokens: readonly Token[],
  at: number | undefined,
  change: (text: string) => string,
): Faulty {
  const token = at === undefined ? undefined : tokens[at]
  if (at === undefined || token === undefined) return undefined
  return { tokens: tokens.with(at, { ...token, text: change(token.text) }), at }
}

function pickIndex(
  tokens: readonly Token[],
  random: Random,
  fits: (token: Token, index: number) => boolean,
): number | undefined {
  const places = [...tokens.keys()].filter((index) => {
    const token = tokens[index]
    return token !== undefined && fits(token, index)
  })
  return places.length === 0 ? undefined : random.pick(places)
}
