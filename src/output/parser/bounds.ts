/**
 * The limits of the search. Found by experiment: the figures are flat around them, and each makes reading
 * linear in the text, since a damaged stretch costs a constant and their number is limited.
 */
export const LIMITS = {
  /** How many tokens the search goes back before an anomaly: its cause is often earlier. */
  lookBack: 8,
  /** A stretch with a guessed quote ends behind so many tokens that are read in one way. */
  calm: 3,
  /** The most that the edits of one stretch may cost. */
  cap: 2.9,
  /** Readings dearer than the cheapest by more are dropped. */
  beam: 2.5,
  /** A reading is taken only if no other valid one comes as near as this. */
  margin: 1,
  /** The schema may overrule the text by so much. */
  overrule: 1.5,
  /** A reading that is cut off by the end of the text wins if it is cheaper by so much. */
  cutMargin: 0.5,
  /** A failure counts as cut off if the text could end there for so much. */
  cutPrice: 2,
  /** Different readings at one place; with more, ambiguities multiply. */
  variants: 4,
  /** Different readings of a whole text. */
  finished: 8,
  /** Damaged stretches in a text. */
  stretches: 2_000,
  stepsPerStretch: 6_000,
  /** Steps of the search in a text. */
  steps: 100_000,
  /** Open brackets. */
  depth: 2_000,
  /** Pieces of a text that are read, and how often the text may be passed over while they are. */
  pieces: 10_000,
  passes: 8,
} as const

/** What was spent on a text, whatever the number of its pieces. */
export interface ReadingSpent {
  stretches: number
  steps: number
  pieces: number
  chars: number
}

/** Whether no further piece of a text of that length may be read. */
export function isSpent(
  { stretches, steps, pieces, chars }: ReadingSpent,
  length: number,
): boolean {
  return (
    stretches >= LIMITS.stretches ||
    steps > LIMITS.steps ||
    pieces > LIMITS.pieces ||
    chars > LIMITS.passes * length
  )
}
