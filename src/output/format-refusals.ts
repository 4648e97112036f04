import type { ResponseFormat } from './response-format.ts'

interface FormatRefusal {
  /** What the provider says; matched against at most 4,096 characters. */
  readonly says: RegExp
  /** What the refusal leaves to ask for. */
  readonly leaves: ResponseFormat
  readonly example: string
  readonly source: string
}

/**
 * How providers say that they cannot be asked for JSON in a certain way. The first that matches
 * and leaves less than what was asked for decides.
 */
export const FORMAT_REFUSALS: readonly FormatRefusal[] = [
  {
    says: /Invalid schema for response_format/i,
    leaves: 'json_schema',
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
  // Whatever else names the parameter: down by one.
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

/**
 * What is left to ask for after a provider refused a request in this format; undefined when it
 * refused something else.
 */
export function formatAfterRefusal(
  said: string,
  asked: ResponseFormat,
): ResponseFormat | undefined {
  const text = said.slice(0, MAX_CHARS)
  return FORMAT_REFUSALS.find(({ says, leaves }) => asksLess(leaves, asked) && says.test(text))
    ?.leaves
}

/** Asks one format less of a provider than another? */
export function asksLess(one: ResponseFormat, other: ResponseFormat): boolean {
  return ORDER.indexOf(one) > ORDER.indexOf(other)
}
