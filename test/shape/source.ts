import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of `src/`, as far as its shape is judged. */
export interface SourceFile {
  /** From `src/` on: `call/call.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: number
  /** What it imports of ours, types included. */
  readonly imports: readonly string[]
  /** Of these, what is there when it runs. */
  readonly valueImports: readonly string[]
}

const SRC: string = fileURLToPath(new URL('../../src/', import.meta.url))

export function readSource(root: string = SRC): readonly SourceFile[] {
  return globSync('**/*.ts', { cwd: root })
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const imported = (statements: RegExp) => [
        ...new Set(
          [...text.matchAll(statements)].map(([, name = '']) =>
            relative(root, join(root, dirname(path), name)),
          ),
        ),
      ]
      return {
        path,
        text,
        lines: text.split('\n').length - 1,
        imports: imported(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g),
        valueImports: imported(
          /import (?!type )(?!\{(?:\s*type \w+,?)+\s*\} )[^']*? from '(\.[^']+)'/g,
        ),
      }
    })
}

/** Groups of files that import one another, types included: each is one cycle or several. */
export function cyclesIn(files: readonly SourceFile[]): readonly (readonly string[])[] {
  const edges = new Map(files.map(({ path, imports }) => [path, imports]))
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const cycles: string[][] = []
  // Tarjan's strongly connected components (SIAM Journal on Computing 1, 1972).
  const visit = (path: string): void => {
    index.set(path, index.size)
    low.set(path, index.get(path) ?? 0)
    stack.push(path)
    for (const next of edges.get(path) ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) {
        low.set(path, Math.min(low.get(path) ?? 0, low.get(next) ?? 0))
      }
    }
    if (low.get(path) !== index.get(path)) return
    const group = stack.splice(stack.indexOf(path))
    if (group.length > 1 || (edges.get(path) ?? []).includes(path)) cycles.push(group)
  }
  for (const path of edges.keys()) if (!index.has(path)) visit(path)
  return cycles
}

const DECLARED = /^(export )?(?:declare )?(?:abstract )?(?:class|interface|type|enum) (\w+)/gm

/** Names of types, with whether each is exported. */
export function typesIn({ text }: SourceFile): readonly { name: string; isExported: boolean }[] {
  return [...text.matchAll(DECLARED)].map(([, exported, name = '']) => ({
    name,
    isExported: exported !== undefined,
  }))
}

const STARTS =
  /^(?: {2}(?!if|for|while|switch|return|else)(?:async |get |static |override |protected )*#?\w+(?:<.*>)?\(|(?:export )?(?:async )?function )/

/** Lines of the longest function or method; the formatter puts its last brace below its first letter. */
export function longestFunction({ text }: SourceFile): number {
  const lines = text.split('\n')
  const lengths = lines.map((line, from) => {
    if (!STARTS.test(line) || !/[{(]$/.test(line)) return 0
    const end = `${/^ */.exec(line)?.[0] ?? ''}}`
    return lines.findIndex((other, at) => at > from && other === end) - from + 1
  })
  return Math.max(...lengths)
}
