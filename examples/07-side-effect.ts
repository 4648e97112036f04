// #region side-effect
import { isCallError, memoryStore, notExecuted, runIdempotent } from 'steadycall'

const url = process.env['TICKETS_URL'] ?? 'https://tickets.example.com/v1/tickets'
const store = memoryStore()

const openTicket = (orderId: string, subject: string) =>
  runIdempotent(
    {
      store,
      operation: 'open-ticket',
      payload: { orderId, subject },
      idempotencyKey: `order-${orderId}`,
    },
    async ({ signal, idempotencyKey }) => {
      const headers = { 'idempotency-key': idempotencyKey }
      const body = JSON.stringify({ subject })
      const response = await fetch(url, { method: 'POST', headers, body, signal })
      // The service refused, so no ticket was made. Any other error counts as "maybe made".
      if (response.status === 422) throw notExecuted(new Error('The ticket was refused.'))
      if (!response.ok) throw new Error(`The ticket service answered ${response.status}.`)
      return response.json()
    },
  )
// #endregion

console.log(await openTicket('1', 'lamp is broken'))
console.log(await openTicket('1', 'lamp is broken'))

// #region outcome
for (const orderId of ['2', '2', '3', '3']) {
  try {
    console.log(await openTicket(orderId, 'parcel is lost'))
  } catch (error) {
    if (!isCallError(error)) throw error
    console.log(`${orderId}: ${error.kind}, executed: ${error.executed}`)
  }
}
// #endregion
