import OpenAI from 'openai'
import { parseJson, steady } from 'steadycall'

const count = { type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] }
const drafts = {
  'draft-07': { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ format: 'date' }] },
  '2019-09': {
    $schema: 'https://json-schema.org/draft/2019-09/schema',
    dependentRequired: { a: ['b'] },
  },
  '2020-12': {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    prefixItems: [{ format: 'date' }],
  },
}

/** What a program does that has steadycall in its bundle; the answer says what came of it. */
export async function run(baseURL) {
  const llm = steady(new OpenAI({ apiKey: 'key', baseURL }))
  const messages = [{ role: 'user', content: 'how many?' }]
  const { value, repairs } = await llm.json({ model: 'm', messages, schema: count })
  return {
    json: [typeof value.count, repairs.map(({ rule }) => rule)],
    parsed: parseJson('Here: {"count": "36",}', count),
    quotes: parseJson('{"a": "the "only" one"}').ok,
    refused: Object.values(drafts).map(
      (schema) =>
        parseJson(
          Array.isArray(schema.prefixItems ?? schema.items) ? '["no date"]' : '{"a":1}',
          schema,
        ).kind,
    ),
    draft: parseJson('{"type":"string"}', { $ref: drafts['2020-12'].$schema }).ok,
  }
}

/** What `run` has to say. */
export const EXPECTED = {
  json: ['number', ['number-from-string']],
  parsed: {
    ok: true,
    value: { count: 36 },
    repairs: [
      { path: '', rule: 'strip-prose' },
      { path: '', rule: 'fix-syntax', offset: 20 },
      { path: '/count', rule: 'number-from-string' },
    ],
  },
  quotes: true,
  refused: ['schema_mismatch', 'schema_mismatch', 'schema_mismatch'],
  draft: true,
}
