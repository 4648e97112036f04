// Each line marked below is an error of the compiler, and a TypeError where nobody compiles.
import OpenAI from 'openai'
import { createRuntime, steady } from 'steadycall'
import * as v from 'valibot'
import * as mini from 'zod/mini'
import { z as v3 } from 'zod/v3'
import { z as zod323 } from 'zod-3-23'
import { z as zod325 } from 'zod-3-25'
import { z as zod41 } from 'zod-4-1'

const client = new OpenAI({ apiKey: 'k', baseURL: 'http://127.0.0.1:9/v1' })
const llm = steady(client, { runtime: createRuntime() })
const asked = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

const attempts = {
  valibot: () => llm.json({ ...asked, schema: v.object({ a: v.string() }) }), // refused
  'zod/mini': () => llm.json({ ...asked, schema: mini.object({ a: mini.string() }) }), // refused
  'zod/v3': () => llm.json({ ...asked, schema: v3.object({ a: v3.string() }) }), // refused
  'zod 3.23': () => llm.json({ ...asked, schema: zod323.object({ a: zod323.string() }) }), // refused
  'zod 3.25': () => llm.json({ ...asked, schema: zod325.object({ a: zod325.string() }) }), // refused
  'zod 4.1': () => llm.json({ ...asked, schema: zod41.object({ a: zod41.string() }) }), // refused
  'a function': () => llm.json({ ...asked, schema: () => ({}) }), // refused
}

/** What each is told to do. */
const advice: Readonly<Record<keyof typeof attempts, RegExp>> = {
  valibot: /toStandardJsonSchema/,
  'zod/mini': /z\.toJSONSchema\(schema\)/,
  'zod/v3': /zod 4\.2 or later/,
  'zod 3.23': /zod 4\.2 or later/,
  'zod 3.25': /zod 4\.2 or later/,
  'zod 4.1': /zod 4\.2 or later/,
  'a function': /JSON Schema/,
}

for (const [name, attempt] of Object.entries(attempts)) {
  const error = await attempt().then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const said = error instanceof TypeError ? error.message : `no TypeError: ${String(error)}`
  // Its keys are those of `attempts`.
  const tells = advice[name as keyof typeof attempts].test(said)
  console.log(`${tells ? 'says' : 'FAILS'}: ${name}: ${said}`)
  if (!tells) process.exitCode = 1
}
