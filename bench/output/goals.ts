/**
 * What the reading of answers has to reach. The tests and the printed tables read it from here; a
 * goal is met, or is seen to be missed.
 */
export const GOALS = {
  /** Of test/fixtures/outputs-further, and of a file given by `--cases`. */
  cases: { wrong: 0, wronglyAccepted: 0, readShare: 0.97 },
  damage: {
    /** Damaged texts that were read as another value, of those with one fault. */
    alteredOfSingles: 0,
    /** The same with two faults: a share. */
    alteredOfPairs: 1 / 2_000,
    /** Damaged texts that were read exactly: a share of all, of which so many have two faults. */
    readShare: 0.65,
    pairsInAll: 0.35,
    /** The same for each fault and style, by the name the generator has for it. */
    readShareOf: {
      'opening quote lost': 0.715,
      'closing quote lost': 0.762,
      'comma lost': 0.858,
      'colon lost': 1,
      'bracket lost': 0.085,
      'bracket of the wrong kind': 0.801,
      'token doubled': 0.128,
      'stray word': 0.094,
      'inner quotes of one string raw': 0.733,
      'inner quotes of all strings raw': 0.635,
      'one inner quote raw': 0.833,
      'cut anywhere': 0,
      'single quotes, apostrophes escaped': 1,
      'single quotes, apostrophes raw': 1,
      'Python repr': 1,
      'Python literals': 1,
      'smart quotes': 1,
      'trailing commas': 1,
      comments: 1,
      'bare keys': 1,
      'raw line breaks': 1,
      'single backslashes': 1,
      fence: 1,
      prose: 1,
    },
  },
} as const

export type FaultName = keyof typeof GOALS.damage.readShareOf
