import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import * as z from 'zod'
import { steady } from '../../src/index.ts'
import { openStore } from '../crash/open-store.ts'
import { DURABLE } from '../crash/stores.ts'
import { describeWith } from '../support/describe-with.ts'
import { ask, clientFor, patientRuntime, rejection, startServer } from '../support/set-up.ts'

// Two deploys of one application, with the same keys and the same store, and another schema.

const before = z.object({ name: z.string(), age: z.int() })

for (const { name, programs, start } of DURABLE) {
  describeWith(programs, `${name}: after a deploy with another schema`, () => {
    let home: Awaited<ReturnType<typeof start>>
    beforeAll(async () => {
      home = await start()
    })
    afterAll(() => home?.close())

    /** Each deploy is a process of its own: another runtime, another connection. */
    async function deployments() {
      const server = await startServer({ answer: '{"name":"Ada","age":36}' })
      const deploy = async () => {
        const { store, close } = await openStore(home.address)
        onTestFinished(close)
        return steady(clientFor(server), { store, runtime: patientRuntime() })
      }
      return { server, old: await deploy(), recent: await deploy() }
    }

    it('a refinement that the stored answer breaks is an error, never the answer', async () => {
      const { server, old, recent } = await deployments()
      const key = { idempotencyKey: `refined-${name}` }
      await old.json({ ...ask('who?'), schema: before }, key)
      const schema = before.refine(({ age }) => age < 30, { message: 'too old' })
      const error = await rejection(recent.json({ ...ask('who?'), schema }, key))
      expect(error).toMatchObject({ kind: 'schema_mismatch', source: 'store' })
      expect(server.count).toBe(1)
      // The answer is kept as it was, for whoever it still fits.
      const { value, source } = await old.json({ ...ask('who?'), schema: before }, key)
      expect([value, source]).toEqual([{ name: 'Ada', age: 36 }, 'store'])
    })

    it('a refinement that it keeps, and a transform, make of it what they make of any', async () => {
      const { server, old, recent } = await deployments()
      const key = { idempotencyKey: `transformed-${name}` }
      await old.json({ ...ask('who?'), schema: before }, key)
      const schema = before
        .refine(({ age }) => age > 30)
        .transform((person) => `${person.name}, ${person.age}`)
      const { value, source } = await recent.json({ ...ask('who?'), schema }, key)
      expect([value satisfies string, source]).toEqual(['Ada, 36', 'store'])
      expect(server.count).toBe(1)
    })

    it('another JSON Schema is another payload', async () => {
      const { server, old, recent } = await deployments()
      const key = { idempotencyKey: `changed-${name}` }
      await old.json({ ...ask('who?'), schema: before }, key)
      const schema = z.object({ name: z.string(), age: z.int().max(30) })
      const error = await rejection(recent.json({ ...ask('who?'), schema }, key))
      expect(error).toMatchObject({ kind: 'idempotency_mismatch' })
      expect(server.count).toBe(1)
    })

    it('unless the payload was given: then the stored answer is held against it', async () => {
      const { server, old, recent } = await deployments()
      const key = { idempotencyKey: `given-${name}`, payload: { jobId: 17 } }
      await old.json({ ...ask('who?'), schema: before }, key)
      const schema = z.object({ name: z.string(), age: z.int().max(30) })
      const error = await rejection(recent.json({ ...ask('who?'), schema }, key))
      expect(error).toMatchObject({ kind: 'schema_mismatch', source: 'store' })
      expect(server.count).toBe(1)
    })
  })
}
