import { lstatSync, statSync } from 'node:fs'

/**
 * A path, and the file it led to at some moment.
 *
 * Examined by path only, never through a file descriptor: when a process closes any descriptor of a file, it
 * loses all its locks on that file, including SQLite's (https://sqlite.org/howtocorrupt.html, §2.2).
 */
export interface NamedFile {
  readonly path: string
  readonly dev: bigint
  readonly ino: bigint
  /** Number of hard links. */
  readonly nlink: bigint
  /** Whether symbolic links are not followed: a link in place of the file then counts as another file. */
  readonly isOwn: boolean
  /** Size in bytes. */
  readonly size: bigint
  /** Whether the file, once emptied, no longer counts as the same file. */
  readonly keepsData?: boolean
}

/** Undefined if the path leads nowhere or cannot be followed. */
export function fileAt(path: string, isOwn = false): NamedFile | undefined {
  try {
    const look = isOwn ? lstatSync : statSync
    // Inode numbers may exceed what a double can represent exactly.
    const { dev, ino, nlink, size } = look(path, { bigint: true })
    return { path, dev, ino, nlink, isOwn, size }
  } catch {
    return undefined
  }
}

/** Whether the path still leads to the same file and its contents. */
export function isInPlace(file: NamedFile): boolean {
  const now = fileAt(file.path, file.isOwn)
  const isSame = now !== undefined && now.ino === file.ino && now.dev === file.dev
  return isSame && (file.keepsData !== true || now.size > 0n)
}
