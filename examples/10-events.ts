// #region events
import OpenAI from 'openai'
import { type CallEvent, steady } from 'steadycall'

function log(event: CallEvent): void {
  switch (event.type) {
    case 'retry-scheduled':
      console.log(`retry after ${event.kind}, waiting for the ${event.delaySource}`)
      break
    case 'reask-sent':
      console.log(`asked again after ${event.kind}`)
      break
    case 'retries-multiplied':
      console.log(`${event.wireRequests} requests for one attempt: who else retries?`)
      break
    case 'call-settled':
      console.log(
        `${event.operation}: ${event.report.outcome}, ${event.report.attempts.length} attempts`,
      )
      break
  }
}

const llm = steady(new OpenAI(), { onEvent: log, onMultipliedRetries: 'throw' })
// #endregion

await llm.json({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Rate this review from 1 to 5: "Fine."' }],
  schema: {
    type: 'object',
    properties: { stars: { type: 'integer', minimum: 1, maximum: 5 } },
    required: ['stars'],
  },
})
