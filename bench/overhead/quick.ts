import { startChild } from '../child.ts'
import { median } from '../statistics.ts'
import type { BlockRequest, BlockResult } from './worker.ts'
const provider = await startChild<object, string>(new URL('provider.ts', import.meta.url))
const files = (process.argv[2] ?? 'openai-single,steadycall').split(',')
const rounds = Number(process.argv[3] ?? 20)
const url = new URL('worker.ts', import.meta.url)
const ws = await Promise.all(files.map((f) => startChild<BlockRequest, BlockResult>(url, [f, `${provider.first}/v1`])))
for (const [kind, atOnce, calls] of [['plain', 1, 200], ['plain', 64, 640], ['structured', 1, 200], ['structured', 64, 640]] as const) {
  const res: BlockResult[][] = files.map(() => [])
  for (let r = -4; r < rounds; r++) {
    const order = ws.map((_, i) => (i + r + 40) % ws.length)
    for (const i of order) { const x = await ws[i]!.ask({ kind, calls: r < 0 ? 1000 : calls, atOnce }); if (r >= 0) res[i]!.push(x) }
  }
  for (const [i, f] of files.entries()) {
    const m = (k: keyof BlockResult) => median(res[i]!.map((x) => x[k])).toFixed(0)
    const ratio = median(res[i]!.map((x, r) => x.cpu / res[0]![r]!.cpu)).toFixed(3)
    const d = median(res[i]!.map((x, r) => x.p50 - res[0]![r]!.p50)).toFixed(0)
    console.log(kind, atOnce, f.padEnd(20), 'p50', m('p50'), 'p99', m('p99'), 'cpu', m('cpu'), 'wall', m('wall'), 'cpuratio', ratio, 'dp50', d)
  }
}
for (const w of ws) await w.close()
await provider.close()
