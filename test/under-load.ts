import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

/**
 * `npm run test:under-load [-- vitest's own arguments]`: three runs of the tests in a row, in another
 * order each, beside programs that take every core. Ends with 1 at the first run that fails.
 */
const RUNS = 3

const hogs = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ['--eval', 'for (;;);'], { stdio: 'ignore' }),
)
process.once('exit', () => {
  for (const hog of hogs) hog.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

for (let run = 1; run <= RUNS; run++) {
  const order = ['--sequence.shuffle.files', `--sequence.seed=${run}`]
  const args = ['vitest', 'run', ...order, ...process.argv.slice(2)]
  const tests = spawn('npx', args, { stdio: 'inherit' })
  const [code] = await once(tests, 'close')
  process.stdout.write(`run ${run} of ${RUNS} under load: ${code === 0 ? 'passed' : 'failed'}\n`)
  if (code !== 0) process.exit(1)
}
process.exit(0)
