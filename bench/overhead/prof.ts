import { startChild } from '../child.ts'
import { loadPeer, type PeerFile } from '../peer.ts'
const provider = await startChild<object, string>(new URL('provider.ts', import.meta.url))
const [file = '', kind = 'plain', atOnce = '64', n = '20000'] = process.argv.slice(2)
const client = await (await loadPeer(file as PeerFile)).create({ baseURL: `${provider.first}/v1` })
const call = client[kind as 'plain']
let left = 2000
const lane = async () => { while (left > 0) { left--; await call('The invoice page is blank, and I was charged twice for March.') } }
await Promise.all(Array.from({ length: Number(atOnce) }, lane))
left = Number(n)
const before = process.cpuUsage(); const t = performance.now()
await Promise.all(Array.from({ length: Number(atOnce) }, lane))
const u = process.cpuUsage(before)
console.log(file, kind, atOnce, 'cpu/call', ((u.user + u.system) / Number(n)).toFixed(1), 'wall', ((performance.now() - t) * 1000 / Number(n)).toFixed(1))
await provider.close()
process.exit()
