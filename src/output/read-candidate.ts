import type { Candidate } from './extract.ts'
import { isRecord, sortedJson } from './json-value.ts'
import {
  type Accepted,
  type Against,
  type AnswerResult,
  judged,
  malformed,
  parsedOrUndefined,
} from './judged.ts'
import { SchemaNames } from './named-path.ts'
import { LIMITS } from './parser/bounds.ts'
import type { TextParser } from './parser/parser.ts'
import type { Finished } from './parser/search.ts'
import { type Change, written } from './parser/written.ts'
import type { Repair, RepairRule } from './repair-rules.ts'
import type { Resting, Work } from './work.ts'

/** A candidate's result, and the reading that it came from. */
export interface CandidateReading {
  readonly result: AnswerResult
  /** The JSON that was judged, if there is one. */
  readonly json?: string
  /** The reading that it came from. */
  readonly finished?: Finished
  readonly parser?: TextParser
}

/** A text and the edits in it, in order. */
export interface MarkedText {
  readonly source: string
  readonly changes: readonly Change[]
}

/** The text of a reading with each of its edits; undefined if there are none. */
export function* markedText(
  { finished, parser }: CandidateReading,
  work: Work,
): Resting<MarkedText | undefined> {
  if (finished?.configuration.edits === undefined || parser === undefined) return undefined
  const { source, start } = parser
  const rewritten = yield* written(finished.configuration, start, source, work)
  return rewritten && { source: source.text, changes: rewritten.changes }
}

/**
 * Takes the cheapest reading of a candidate that the schema accepts, if no other value comes near it: none
 * that is valid within the margin, and none at all that the text makes much likelier.
 */
export function* readCandidate(
  { parser, outcome, isRewritten = false }: Candidate,
  against: Against,
): Resting<CandidateReading> {
  const refused = (message: string) => ({ result: malformed(message) })
  if (outcome.kind === 'cut') return refused('the text ends inside its JSON')
  if (outcome.kind === 'refused') return refused(outcome.message)
  const judgements: Judgement[] = []
  for (const reading of outcome.readings) {
    const one = yield* judgementOf(reading, parser, isRewritten, against)
    // A key twice: one of its values would be lost, and the reading is likely to be wrong.
    if (outcome.isGuessed && one?.isShort === true) continue
    if (one !== undefined) judgements.push(one)
  }
  const [cheapest] = outcome.readings
  const valid = judgements.filter(({ result }) => result.ok)
  const [best] = valid
  if (best === undefined)
    return judgements[0] ?? refused('expected JSON, and its syntax has no single repair')
  const rivals = valid.filter(({ price }) => price - best.price < LIMITS.margin)
  if (rivals.some((rival) => !isSame(rival, best)))
    return refused('its syntax allows several readings')
  if (best.isVague) return refused('its syntax has no single repair')
  const isOverruled = cheapest !== undefined && best.price - cheapest.price > LIMITS.overrule
  return isOverruled ? refused('its likeliest reading is not what the schema accepts') : best
}

function isSame({ result: a, json }: Judgement, { result: b, json: other }: Judgement): boolean {
  return json === other || (a.ok && b.ok && sortedJson(a.value) === sortedJson(b.value))
}

interface Judgement extends CandidateReading {
  readonly price: number
  readonly isVague: boolean
  /** Whether the value has fewer members than the text. */
  readonly isShort: boolean
  /** The JSON of the reading, which differs where values differ. */
  readonly json: string
}

function* judgementOf(
  finished: Finished,
  parser: TextParser,
  isRewritten: boolean,
  against: Against,
): Resting<Judgement | undefined> {
  const { configuration, price } = finished
  const { source, start } = parser
  const rewritten =
    configuration.edits === undefined
      ? { json: source.text.slice(start, configuration.pos), changes: [] }
      : yield* written(configuration, start, source, against.work, true)
  if (rewritten === undefined) return undefined
  const { json, changes } = rewritten
  const parsed = yield* parsedOrUndefined(json, against)
  if (parsed === undefined) return undefined
  const result = yield* judged(parsed, against)
  const isVague = configuration.vague
  const isShort = (yield* keysIn(parsed.value, against.work)) < configuration.keys
  return {
    result: yield* withChanges(result, changes, { value: parsed.value, isRewritten }, against),
    price,
    isVague,
    isShort,
    json,
    finished,
    parser,
  }
}

/** The number of members of all objects in a value. */
function* keysIn(value: unknown, work: Work): Resting<number> {
  let keys = 0
  const left = [value]
  while (left.length > 0) {
    const one = left.pop()
    if (Array.isArray(one)) for (const item of one) left.push(item)
    else if (isRecord(one)) {
      const names = Object.keys(one)
      for (const name of names) left.push(one[name])
      keys += names.length
    }
    if (work.did(1)) yield
  }
  return keys
}

function* withChanges(
  result: AnswerResult,
  changes: readonly Change[],
  { value, isRewritten }: { readonly value: unknown; readonly isRewritten: boolean },
  { validator, work }: Against,
): Resting<AnswerResult> {
  if (!result.ok || changes.length === 0) return result
  const names = validator === undefined ? undefined : new SchemaNames(validator.jsonSchema)
  const repairs: Repair[] = []
  for (const { rule, path, from } of changes) {
    const told = names?.path(path, value) ?? path
    const before = repairs.at(-1)
    if (work.did(STEPS_A_PATH)) yield
    // The quotes of a key and of its value, and so on: one repair of one member.
    if (before?.rule === rule && before.path === told) continue
    repairs.push({ path: told, rule, ...(!isRewritten && { offset: from }) })
  }
  return { ...result, repairs: [...repairs, ...result.repairs] }
}

// Finding the names of a path takes some microseconds.
const STEPS_A_PATH = 30

/** Puts rules that concern the whole text before the others. */
export function withRules(result: AnswerResult, rules: readonly RepairRule[]): AnswerResult {
  if (!result.ok || rules.length === 0) return result
  const added: Accepted['repairs'] = rules.map((rule) => ({ path: '', rule }))
  return { ...result, repairs: [...added, ...result.repairs] }
}
