import type { StatusTest, WordingRule } from './wording.ts'

const limited: readonly StatusTest[] = [413, 429, 'none']

/** A request that by itself exceeds a limit; no wait can help, whatever the hint says. */
// biome-ignore format: a rule is one line, its example the next
export const SIZE_WORDINGS: readonly WordingRule[] = [
  { kind: 'request_too_large', when: { status: limited, code: 'request_too_large' },
    example: [200, '{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}'] },
  { kind: 'request_too_large', when: { status: limited, code: 'payload_too_large' },
    example: [200, '{"error":{"message":"Provider returned error","metadata":{"error_type":"payload_too_large"}}}'] },
  { kind: 'request_too_large', when: { status: limited, text: 'request too large' },
    example: [429, '{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}'] },
  { kind: 'request_too_large', when: { status: limited, exceeds: ['limit', 'requested'] },
    example: [429, '{"error":{"message":"Rate limit reached for model on tokens per minute (TPM): Limit 7000, Used 0, Requested 12903. Please try again in 50.6s.","type":"tokens","code":"rate_limit_exceeded"}}'] },
  // Azure, for a single request larger than the deployment's tokens-per-minute limit.
  { kind: 'request_too_large', when: { status: [429, 'none'], text: ['token rate limit', 'retry after 86400 seconds'] },
    example: [429, '{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-08-01-preview have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds."}}'] },
]
