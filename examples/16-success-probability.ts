// #region formula
/** The probability that one of 1 + retries attempts succeeds, if each does with probability q. */
function successProbability(q: number, retries: number): number {
  return 1 - (1 - q) ** (retries + 1)
}

/** Attempts per call on average: a call ends with its first success. */
function expectedAttempts(q: number, retries: number): number {
  return q === 0 ? retries + 1 : successProbability(q, retries) / q
}
// #endregion

const counts = [0, 1, 2, 3, 4]
const chances = [0.99, 0.95, 0.9, 0.8, 0.5]
const heads = counts.map((retries) => `${retries} ${retries === 1 ? 'retry' : 'retries'}`)

print('calls that succeed, %', heads)
for (const q of chances) {
  // All digits, so that only certainty is shown as 100.
  const percent = counts.map((retries) => Number((successProbability(q, retries) * 100).toFixed(8)))
  print(`q = ${q}`, percent)
}
console.log()
print('attempts per call', heads)
for (const q of chances) {
  const attempts = counts.map((retries) => expectedAttempts(q, retries).toFixed(2))
  print(`q = ${q}`, attempts)
}

function print(title: string, cells: readonly (number | string)[]): void {
  console.log(title.padEnd(21) + cells.map((cell) => String(cell).padStart(13)).join(''))
}
