import { type ChatBody, field } from './completion.ts'
import { exampleValue } from './example-value.ts'

/**
 * The default good answer: for a `json_schema` response format, the JSON of a small value that the schema
 * accepts; for `json_object`, an empty object; otherwise a sentence.
 *
 * @throws Error if `exampleValue` cannot build a value for the schema.
 */
export function defaultAnswer(body: ChatBody): string {
  const type = field(body.response_format, 'type')
  if (type === 'json_object') return '{}'
  if (type !== 'json_schema') return 'This is a good answer from the fault server.'
  try {
    const schema = field(field(body.response_format, 'json_schema'), 'schema')
    return JSON.stringify(exampleValue(schema))
  } catch (error) {
    throw new Error('cannot build an example for this schema; pass the option answer', {
      cause: error,
    })
  }
}
