// ArkType and TypeBox 1: their own declarations need a newer TypeScript, or skipLibCheck.
import { type } from 'arktype'
import OpenAI from 'openai'
import { createRuntime, steady } from 'steadycall'
import { startFaultServer } from 'steadycall/testing'
import TypeBox from 'typebox'

const server = await startFaultServer()
const client = new OpenAI({ apiKey: 'k', baseURL: server.baseURL })
const llm = steady(client, { runtime: createRuntime() })
const asked = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

const ark = await llm.json({ ...asked, schema: type({ name: 'string', 'age?': 'number' }) })
const arkName: string = ark.value.name
// @ts-expect-error it may be absent
const arkAge: number = ark.value.age

const box = await llm.json({
  ...asked,
  schema: TypeBox.Object({
    name: TypeBox.String(),
    age: TypeBox.Optional(TypeBox.Integer()),
    mood: TypeBox.Union([TypeBox.Literal('good'), TypeBox.Null()]),
  }),
})
const boxName: string = box.value.name
const mood: 'good' | null = box.value.mood
// @ts-expect-error it may be absent
const boxAge: number = box.value.age

const isRight = [arkName, boxName].every((name) => typeof name === 'string') && mood !== undefined
console.log(`${isRight ? 'runs' : 'FAILS'}: ArkType, TypeBox 1`, arkAge, boxAge)
if (!isRight) process.exitCode = 1
await server.close()
