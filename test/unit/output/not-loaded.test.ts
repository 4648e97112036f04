import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What a program says in a process of its own, in which packages of that name cannot be loaded. */
async function said(program: string, missing: string): Promise<unknown> {
  const script = `
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        if (/^(?:${missing})(?:\\/|$)/.test(specifier)) throw new Error('Cannot find ' + specifier)
        return next(specifier, context)
      },
    })
    const { parseJson } = await import('./src/index.ts')
    const { toolsOf } = await import('./src/output/tool-calls.ts')
    const failing = (work) => {
      try {
        return { made: work() }
      } catch (error) {
        const { name, message, cause } = error
        return { name, message, isTypeError: error instanceof TypeError, cause: cause?.message }
      }
    }
    ${program}`
  const flags = ['--conditions=steadycall:source', '--input-type=module', '--eval', script]
  const { stdout } = await run(process.execPath, flags, { cwd: root })
  return JSON.parse(stdout)
}

const schema = '{ type: "object", properties: { n: { type: "integer" } } }'
const tools = `[{ type: 'function', function: { name: 'f', parameters: ${schema} } }]`

it.each([
  ['AJV', 'ajv', 'Cannot find ajv/dist/2020.js'],
  ['its formats', 'ajv-formats', 'Cannot find ajv-formats'],
])(
  'a failure to load %s is named, and not taken for a fault of the schema',
  async (_, missing, cause) => {
    const failure = {
      name: 'NotLoaded',
      message: `AJV, which checks answers, could not be loaded: ${cause}`,
      isTypeError: false,
      cause,
    }
    const program = `console.log(JSON.stringify([
      failing(() => parseJson('{"n":1}', ${schema})),
      failing(() => toolsOf(${tools}, undefined)),
    ]))`
    expect(await said(program, missing)).toEqual([failure, failure])
  },
  120_000,
)

it('text is read without a schema all the same', async () => {
  const program = `console.log(JSON.stringify(failing(() => parseJson('{"n":1,}').value)))`
  expect(await said(program, 'ajv|ajv-formats')).toEqual({ made: { n: 1 } })
}, 120_000)
