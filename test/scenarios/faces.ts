import { ask, person } from '../support/set-up.ts'
import type { Stage } from './stage.ts'

/** The ways to call a model. */
export const faces = ['create', 'json', 'a keyed json', 'a stream', 'run'] as const
export type Face = (typeof faces)[number]

/** One call, that way: to its answer, or to the first content of its stream. */
export function callAs(
  face: Face,
  { llm, signal }: Pick<Stage, 'llm' | 'signal'>,
): Promise<unknown> {
  const { completions } = llm.chat
  switch (face) {
    case 'create':
      return completions.create(ask('hi'), { signal })
    case 'json':
      return llm.json({ ...ask('hi'), schema: person }, { signal })
    case 'a keyed json':
      return llm.json({ ...ask('hi'), schema: person }, { signal, idempotencyKey: 'k' })
    case 'a stream':
      return completions.create({ ...ask('hi'), stream: true }, { signal })
    case 'run':
      return llm.run('outer', (inner) => completions.create(ask('hi'), { signal: inner.signal }), {
        signal,
      })
  }
}
