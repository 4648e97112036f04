// #region retry
import { callReport, classifyError, retry } from 'steadycall'

const url = process.env['STOCK_URL'] ?? 'https://stock.example.com/v1/items/7'

const stock = await retry(
  async ({ signal }) => {
    const response = await fetch(url, { signal })
    if (response.ok) return response.json()
    // A failure is classified by its status and headers; these may also contain a hint.
    const { status, headers } = response
    throw Object.assign(new Error(`stock: ${status}`), { status, headers })
  },
  { name: 'stock', maxAttempts: 4, deadlineMs: 60_000, attemptTimeoutMs: 20_000, classify },
)

// This service locks an item briefly while it counts it. Everything else is classified as usual.
function classify(error: unknown) {
  const isLocked = error instanceof Error && 'status' in error && error.status === 423
  if (isLocked) return { retryable: true, reason: 'locked', retryAfterMs: 20 }
  return classifyError(error)
}
// #endregion

console.log(stock)
for (const { number, outcome, code } of callReport(stock)?.attempts ?? []) {
  console.log(`attempt ${number}: ${code ?? outcome}`)
}
