import { createRequire } from 'node:module'
import { expect, it } from 'vitest'
import { parseJson } from '../../../src/output/parse-json.ts'
import '../../../src/output/response-format.ts'
import '../../../src/output/reask.ts'

const loaded = (name: string): boolean =>
  Object.keys(createRequire(import.meta.url).cache).some((file) =>
    file.includes(`/node_modules/${name}/`),
  )

it('loads AJV and jsonrepair when they are first needed', () => {
  expect([loaded('ajv'), loaded('jsonrepair')]).toEqual([false, false])
  parseJson('```\n[1,]\n```')
  expect([loaded('ajv'), loaded('jsonrepair')]).toEqual([false, false])
  parseJson('[1]', { type: 'array' })
  expect([loaded('ajv'), loaded('jsonrepair')]).toEqual([true, false])
  parseJson('{"a": the one}')
  expect([loaded('ajv'), loaded('jsonrepair')]).toEqual([true, true])
})
