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
}

/** Plays all of them, one per core at a time; the results are in the order of the tasks. */
export async function playAll(
  tasks: readonly Task[],
  onDone: (done: number) => void = () => {},
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  let done = 0
  const work = async (worker: Worker) => {
    for (let index = next++; index < tasks.length; index = next++) {
      const task = tasks[index]
      results[index] = await new Promise<Result>((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
        worker.postMessage(task)
      })
      worker.removeAllListeners('error')
      done += 1
      onDone(done)
    }
    await worker.terminate()
  }
  const cores = Math.min(availableParallelism(), tasks.length)
  await Promise.all(Array.from({ length: cores }, () => work(new Worker(new URL(import.meta.url)))))
  return results
}

async function play({ scenario, policy, seed }: Task): Promise<Result> {
  return storm(scenarioNamed(scenario), policyNamed(policy), seed)
}

if (!isMainThread) {
  parentPort?.on('message', (task: Task) => {
    void play(task).then((result) => parentPort?.postMessage(result))
  })
}
