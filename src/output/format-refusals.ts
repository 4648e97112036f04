import type { ResponseFormat } from './response-format.ts'

export interface FormatRefusal {
  /** Matched against the first 4,096 characters of the provider's message. */
  readonly says: RegExp
  /** The best format that remains after this refusal. */
  readonly leaves: ResponseFormat
  /** Whether the refusal is about this schema only; other schemas keep their format. */
  readonly ofSchema?: true
  readonly example: string
  readonly source: string
}

/**
 * How providers reject a response format. The first rule decides that matches and leaves a weaker format
 * than the requested one.
 */
export const FORMAT_REFUSALS: readonly FormatRefusal[] = [
  {
    says: /Invalid schema for response_format/i,
    leaves: 'json_schema',
    ofSchema: true,
    example:
      "Invalid schema for response_format 'answer': In context=('properties', 'etymology'), 'additionalProperties' is required to be supplied and to be false.",
    source: 'https://github.com/moeru-ai/xsai/issues/202',
  },
  {
    says: /'response_format.type' must be 'json_schema' or 'text'/,
    leaves: 'none',
    example: "'response_format.type' must be 'json_schema' or 'text'",
    source: 'https://github.com/webai-at-home/webai-at-home/issues/221',
  },
  {
    says: /'response_format' of type 'json_object' is not supported/,
    leaves: 'none',
    example:
      "Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.",
    source: 'https://github.com/idootop/mi-gpt/issues/142',
  },
  {
    says: /'response_format' of type 'json_schema' is not supported/,
    leaves: 'json_object',
    example:
      "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    source: 'https://github.com/web-infra-dev/midscene/issues/259',
  },
  {
    says: /response_format\.type `?json_schema`? is unavailable/,
    leaves: 'json_object',
    example:
      'Failed to deserialize the JSON body into the target type: response_format: response_format.type `json_schema` is unavailable now at line 1 column 1193',
    source: 'https://github.com/BerriAI/litellm/issues/7580',
  },
  {
    says: /This response_format type is unavailable/,
    leaves: 'json_object',
    example: 'This response_format type is unavailable now',
    source: 'https://github.com/llm-exe/llm-exe/issues/662',
  },
  {
    says: /'response_format' must be one of 'json_object', 'text'/,
    leaves: 'json_object',
    example: "Invalid parameter: 'response_format' must be one of 'json_object', 'text'.",
    source: 'https://github.com/BerriAI/litellm/issues/5295',
  },
  {
    says: /value as json_schema is enabled only for api versions/i,
    leaves: 'json_object',
    example:
      'Response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later',
    source: 'https://github.com/EvoTestOps/AISysRev/issues/104',
  },
  {
    says: /does not support parameters: \{'response_format'/,
    leaves: 'none',
    example: "mistral does not support parameters: {'response_format': {'type': 'json_object'}}.",
    source: 'https://github.com/BerriAI/litellm/issues/2442',
  },
  {
    says: /too many states for serving/i,
    leaves: 'json_object',
    ofSchema: true,
    example: 'The specified schema produces a constraint that has too many states for serving.',
    source: 'https://github.com/googleapis/python-genai/issues/660',
  },
  {
    says: /features not supported by xgrammar|Grammar error: /,
    leaves: 'json_object',
    ofSchema: true,
    example: 'Grammar error: Unimplemented keys: ["propertyNames"]',
    source: 'https://github.com/noonghunna/club-3090/issues/45',
  },
  {
    says: /failed to parse grammar/i,
    leaves: 'json_object',
    ofSchema: true,
    example: 'Failed to initialize samplers: failed to parse grammar',
    source: 'https://github.com/lidge-jun/opencodex/issues/2135',
  },
  {
    says: /output_config(?:\.format)?: Extra inputs are not permitted/i,
    leaves: 'none',
    example: 'output_config.format: Extra inputs are not permitted',
    source: 'https://github.com/vectorize-io/hindsight/issues/3300',
  },
  {
    // Mistral, and other APIs that validate with pydantic: lists the accepted values.
    says: /should be '?text'? or '?json_object'?/i,
    leaves: 'json_object',
    example: "Input should be 'text' or 'json_object'",
    source: 'https://docs.pydantic.dev/latest/errors/validation_errors/#literal_error',
  },
  {
    // Does not name the parameter; with `require_parameters` the format is the most likely one.
    says: /No endpoints found that (?:can handle|support) the requested parameters/i,
    leaves: 'none',
    example: 'No endpoints found that can handle the requested parameters.',
    source: 'https://openrouter.ai/docs/guides/routing/provider-selection',
  },
  // General rules, last: any other message that names the parameter. One step down.
  {
    says: /json_schema|response_schema|structured output/i,
    leaves: 'json_object',
    example: 'This model does not support response format `json_schema`.',
    source: 'https://console.groq.com/docs/structured-outputs',
  },
  {
    says: /response_format|json_object|json mode/i,
    leaves: 'none',
    example: 'Unrecognized request argument supplied: response_format',
    source: 'https://platform.openai.com/docs/guides/structured-outputs',
  },
]

const MAX_CHARS = 4_096
const ORDER: readonly ResponseFormat[] = ['strict', 'json_schema', 'json_object', 'none']

/** The rule for the provider's message that applies to this format; undefined for any other error. */
export function formatAfterRefusal(said: string, asked: ResponseFormat): FormatRefusal | undefined {
  const text = said.slice(0, MAX_CHARS)
  return FORMAT_REFUSALS.find(({ says, leaves }) => asksLess(leaves, asked) && says.test(text))
}

/** Whether one format demands less of a provider than another. */
export function asksLess(one: ResponseFormat, other: ResponseFormat): boolean {
  return ORDER.indexOf(one) > ORDER.indexOf(other)
}
