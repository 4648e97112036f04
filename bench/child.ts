import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of the benchmark's own, spoken to by messages; it ends with its parent. */
export interface Child<Request, Answer> {
  readonly first: Answer | string
  ask(request: Request): Promise<Answer>
  close(): Promise<void>
}

/** Starts a program and waits for its first message. */
export async function startChild<Request extends object, Answer>(
  program: URL,
  args: readonly string[] = [],
  nodeOptions: readonly string[] = [],
): Promise<Child<Request, Answer>> {
  const child = fork(fileURLToPath(program), args, { execArgv: [...nodeOptions], stdio: 'inherit' })
  const first = await nextMessage<Answer | string>(child)
  return {
    first,
    ask(request) {
      const answer = nextMessage<Answer>(child)
      child.send(request)
      return answer
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown) => {
      child.off('exit', onExit)
      // Each program answers with the one type that its starter names.
      resolve(message as T)
    }
    const onExit = (code: number | null) => {
      child.off('message', onMessage)
      reject(new Error(`${child.spawnfile} ended with ${code} before it answered`))
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
  })
}
