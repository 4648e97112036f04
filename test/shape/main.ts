import { measure } from './measure.ts'

/** Prints how simple the house is to see: `npm run shape`. */
const rows = measure().map(({ what, before, value, goal, ceiling }) => [
  what,
  before.toLocaleString('en'),
  value.toLocaleString('en'),
  goal?.toLocaleString('en') ?? '–',
  ceiling.toLocaleString('en'),
])
const head = ['', '6b1a497', 'now', 'goal', 'ceiling']
const table = [head, head.map((_, at) => (at === 0 ? '---' : '---:')), ...rows]
process.stdout.write(`${table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`)
