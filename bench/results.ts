import { readFile, writeFile } from 'node:fs/promises'

const FILE = new URL('RESULTS.md', import.meta.url)

export interface Section {
  readonly name: string
  readonly title: string
  readonly body: string
}

const ORDER = ['overhead', 'waiting', 'output', 'stores', 'correctness', 'storm', 'soak']

const HEAD = `# Measured

Written by \`npm run bench\`, which runs all of it on two cores within fifteen minutes; \`npm run bench -- overhead\`
runs one part and rewrites its section only. Every peer is measured in the same run, in turn with the
others. The machine, the date and the commit stand below each section; how far runs differ stands in the tables.
`

/** Puts one part's section in its place and leaves those of the other parts as they are. */
export async function writeResults(section: Section, versions: string): Promise<void> {
  const sections = parse(await readIfThere())
  const { name, title, body } = section
  sections.set(name, `## ${title}\n\n${body}\n`)
  const all = ORDER.flatMap((each) => {
    const text = sections.get(each)
    return text === undefined ? [] : [`<!-- ${each} -->\n\n${text}`]
  })
  await writeFile(FILE, `${HEAD}\n${versions}\n${all.join('\n')}`)
}

function parse(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const part of text.split('<!-- ').slice(1)) {
    const [name = '', ...rest] = part.split(' -->\n\n')
    found.set(name, `${rest.join(' -->\n\n').trim()}\n`)
  }
  return found
}

async function readIfThere(): Promise<string> {
  try {
    return await readFile(FILE, 'utf8')
  } catch {
    return ''
  }
}
