import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import type { Result } from './measure.ts'
import { policyNamed } from './policies.ts'
import { scenarioNamed } from './scenarios.ts'
import { storm } from './storm.ts'

/** One run, by names: what a worker is sent. */
export interface Task {
  readonly scenario: string
  readonly policy: string
  readonly seed: number
  /** Stops the arrivals earlier than the scenario does. */
  readonly untilMs?: number
}

/** What the docs and the tests play, where nothing else is asked for. */
export const LAST_SEED = 1

/** The seeds from `first` to `last`. */
export function seedsFrom(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** Threads that play runs, one per core. They keep the process alive only while they play. */
export class Pool {
  readonly #idle: Worker[] = []
  readonly #waiting: ((worker: Worker) => void)[] = []
  #started = 0

  async play(task: Task): Promise<Result> {
    const worker = await this.#worker()
    worker.ref()
    try {
      const result = await new Promise<Result>((resolve, reject) => {
        worker.removeAllListeners()
        worker.once('message', resolve)
        worker.once('error', reject)
        worker.postMessage(task)
      })
      this.#giveBack(worker)
      return result
    } catch (error) {
      // A thread that threw has ended.
      this.#giveBack(newWorker())
      throw error
    }
  }

  /** One scenario under one policy, with these seeds; in their order. */
  playSeeds(task: Omit<Task, 'seed'>, seeds: readonly number[]): Promise<Result[]> {
    return Promise.all(seeds.map((seed) => this.play({ ...task, seed })))
  }

  async #worker(): Promise<Worker> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    if (this.#started < availableParallelism()) {
      this.#started += 1
      return newWorker()
    }
    return new Promise((resolve) => void this.#waiting.push(resolve))
  }

  #giveBack(worker: Worker): void {
    worker.unref()
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(worker)
    else next(worker)
  }
}

function newWorker(): Worker {
  return new Worker(new URL(import.meta.url))
}

function play({ scenario: id, policy, seed, untilMs }: Task): Promise<Result> {
  const scenario = scenarioNamed(id)
  const played = untilMs === undefined ? scenario : { ...scenario, untilMs }
  return storm(played, policyNamed(policy), seed)
}

if (!isMainThread) {
  parentPort?.on('message', (task: Task) => {
    void play(task).then((result) => parentPort?.postMessage(result))
  })
}
