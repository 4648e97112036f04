import type { WordingRule } from './wording.ts'

/**
 * A relay's own error name is weaker evidence than any words of the provider inside: LiteLLM has returned
 * `ContentPolicyViolationError` for an invalid schema.
 */
// biome-ignore format: a rule is one line, its example the next
export const RELAY_WORDINGS: readonly WordingRule[] = [
  { kind: 'invalid_request', when: { status: [400, 422], clause: [['invalid', 'unsupported', 'unknown', 'unrecognized', 'missing', 'malformed', 'must be', 'is required', 'not permitted'], ['schema', 'parameter', 'argument', 'field', 'propert', 'response_format', 'tool', 'role']], except: ['policy', 'safety'] },
    example: [400, `{"error":{"message":"litellm.ContentPolicyViolationError: OpenAIException - Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and to be false.","type":null,"param":null,"code":"400"}}`] },
  { kind: 'invalid_request', when: { status: ['5xx'], clause: [['invalid schema for', 'unsupported parameter', 'unrecognized request argument', 'unknown parameter', 'missing required parameter', 'unsupported value']] },
    example: [500, `{"error":{"message":"litellm.InternalServerError: OpenAIException - Invalid schema for response_format 'x': 'required' is required to be supplied"}}`] },
  { kind: 'content_filter', when: { text: 'contentpolicyviolationerror' },
    example: [400, '{"error":{"message":"litellm.ContentPolicyViolationError: the prompt was refused","type":null,"param":null,"code":"400"}}'] },
  { kind: 'context_length', when: { notStatus: [429], text: 'contextwindowexceedederror' },
    example: [400, '{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: it was too much.","type":null,"param":null,"code":"400"}}'] },
]
