// npm run test:package: what `npm pack` makes, installed in fresh projects: put into one file by each
// bundler and run where there is no node_modules, and its types compiled by each TypeScript.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const runner = fileURLToPath(new URL('../companions/run.ts', import.meta.url))
const child = spawn(process.execPath, [runner, 'bundlers', 'types'], { stdio: 'inherit' })
child.on('exit', (code) => {
  process.exitCode = code ?? 1
})
