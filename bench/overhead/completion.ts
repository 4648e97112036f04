import { TICKET_TEXT } from '../ticket.ts'

/** The body of the one answer that the clients get while their overhead is measured. */
export const COMPLETION = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_764_115_200,
  model: 'gpt-bench',
  system_fingerprint: 'fp_bench',
  service_tier: 'default',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: TICKET_TEXT, refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 31, completion_tokens: 29, total_tokens: 60 },
})

/** The base URL of clients whose global `fetch` answers from memory: what their own code costs. */
export const NO_NETWORK = 'http://no-network.invalid/v1'
