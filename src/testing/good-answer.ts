import { type ChatBody, field } from './completion.ts'
import { exampleValue } from './example-value.ts'

/**
 * What a good answer says unless the test says otherwise: for a `json_schema` response format the
 * JSON of a small value that the schema accepts, for `json_object` an empty object, else a sentence.
 *
 * @throws Error for a schema of which `exampleValue` can build no value.
 */
export function defaultAnswer(body: ChatBody): string {
  const type = field(body.response_format, 'type')
  if (type === 'json_object') return '{}'
  if (type !== 'json_schema') return 'This is a good answer from the fault server.'
  try {
    const schema = field(field(body.response_format, 'json_schema'), 'schema')
    return JSON.stringify(exampleValue(schema))
  } catch (error) {
    throw new Error('no example for this schema can be built; pass the option answer', {
      cause: error,
    })
  }
}
