import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { builtPrograms } from '../support/built.ts'
import type { Told, Work } from './worker.ts'

// Started some two hundred times.
const program = join(await builtPrograms('test/crash', ['worker']), 'worker.js')

/** A process that does some work, and how it goes on. */
export interface Process {
  readonly child: ChildProcess
  /** Resolves when all its callers have asked, and the store has answered the first of them. */
  readonly allWait: Promise<unknown>
  /** What it told, once it has ended; rejects when it ended by an error of its own. */
  readonly ended: Promise<{ readonly told: readonly Told[]; readonly signal: string | null }>
}

/** Starts a process of its own for the work. */
export function start(work: Work): Process {
  const child = spawn(process.execPath, [program, JSON.stringify(work)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = new Promise<Awaited<Process['ended']>>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0 || signal !== null) resolve({ told: linesOf(output), signal })
      else reject(new Error(`The worker failed (${code}): ${errors}`))
    })
  })
  // Whoever waits for it sees the failure; nobody may be waiting yet.
  ended.catch(() => {})
  return { child, allWait: once(child, 'message'), ended }
}

function linesOf(output: string): Told[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** Waits until a process has stopped itself (state T of proc(5)). */
export async function untilStopped({ child, ended }: Process): Promise<void> {
  let over = false
  ended
    .finally(() => {
      over = true
    })
    .catch(() => {})
  for (;;) {
    if (over) throw new Error('The worker ended instead of stopping')
    if (stateOf(child.pid) === 'T') return
    await pause(50)
  }
}

function stateOf(pid: number | undefined): string | undefined {
  try {
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
