import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { table } from './markdown.ts'
import { loadPeers } from './peer.ts'

/** On what, with what and when it was measured. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0)
  const date = new Date().toISOString().slice(0, 10)
  return `${date}, ${model}, ${availableParallelism()} cores, ${gigabytes} GiB, ${process.platform}, Node ${process.versions.node}, commit ${commit()}`
}

/** As installed, not as asked for. */
export async function versionsTable(): Promise<string> {
  const names = new Set((await loadPeers()).flatMap(({ packages }) => packages))
  const rows = [...names, 'jsonrepair'].toSorted().map((name) => [name, installedVersion(name)])
  return table(['package', 'version'], rows)
}

function installedVersion(name: string): string {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url)
  const { version }: { version?: unknown } = JSON.parse(readFileSync(file, 'utf8'))
  return String(version)
}

function commit(): string {
  try {
    const options = { encoding: 'utf8' as const }
    const hash = execFileSync('git', ['rev-parse', '--short', 'HEAD'], options).trim()
    const changed = execFileSync('git', ['status', '--porcelain', '--', 'src'], options).trim()
    return changed === '' ? hash : `${hash} with changes`
  } catch {
    return 'unknown'
  }
}
