/**
 * How many cases a property is tried with: `FUZZ_RUNS` of the environment, for all that are chosen
 * by file, or else so many. `FUZZ_RUNS=100000 npm test -- test/property/output.test.ts`
 */
export function fuzzRuns(byDefault: number): number {
  return Number(process.env['FUZZ_RUNS'] ?? byDefault)
}
