import { lstatSync, statSync } from 'node:fs'

/**
 * A name, and the file that it led to when somebody looked.
 *
 * Asked for by name only, never through a descriptor of our own: when a process closes one of a
 * file, it loses all locks that it has on that file, SQLite's own included
 * (https://sqlite.org/howtocorrupt.html, §2.2).
 */
export interface NamedFile {
  readonly path: string
  readonly dev: bigint
  readonly ino: bigint
  /** How many names it has. */
  readonly nlink: bigint
  /** The name is the file's own: a symbolic link in its place is another file. */
  readonly isOwn: boolean
  /** Bytes. */
  readonly size: bigint
  /** Emptied, it is not the same file any more. */
  readonly keepsData?: boolean
}

/** Undefined where the name leads nowhere, or cannot be followed. */
export function fileAt(path: string, isOwn = false): NamedFile | undefined {
  try {
    const look = isOwn ? lstatSync : statSync
    // Numbers of files may be larger than a double can tell apart.
    const { dev, ino, nlink, size } = look(path, { bigint: true })
    return { path, dev, ino, nlink, isOwn, size }
  } catch {
    return undefined
  }
}

/** Does its name still lead to it, and to what was in it? */
export function isInPlace(file: NamedFile): boolean {
  const now = fileAt(file.path, file.isOwn)
  const isSame = now !== undefined && now.ino === file.ino && now.dev === file.dev
  return isSame && (file.keepsData !== true || now.size > 0n)
}
