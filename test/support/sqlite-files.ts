import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ClaimResult, Store } from '../../src/idempotency/store.ts'

/** A directory of the test's own, and the file in it that a store is to open. */
export interface Place {
  readonly directory: string
  readonly file: string
}

export function temporaryPlace(): Place {
  const directory = mkdtempSync(join(tmpdir(), 'steadycall-sqlite-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return { directory, file: join(directory, 'keys.db') }
}

/** The store, which is closed when the test has ended. */
export function opened<S extends Store & { close(): Promise<void> }>(store: S): S {
  onTestFinished(() => store.close())
  return store
}

/** A claim that no slow machine outlasts. */
export function claim(store: Store, key: string): Promise<ClaimResult> {
  return store.claim({
    key,
    fingerprint: 'payload',
    owner: randomUUID(),
    leaseMs: 600_000,
    onUncertain: 'rerun',
    ttlMs: 600_000,
  })
}
