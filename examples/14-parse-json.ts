// #region parse
import { parseJson } from 'steadycall'

const answer = 'Here you are:\n```json\n{"name": "Ada", "age": "36",}\n```'
const result = parseJson(answer, {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } },
  required: ['name', 'age'],
})
if (result.ok) {
  console.log(result.value.name, result.value.age)
  for (const { path, rule } of result.repairs) console.log(`${path || '/'}: ${rule}`)
} else {
  console.log(result.kind, result.issues)
}
// #endregion
