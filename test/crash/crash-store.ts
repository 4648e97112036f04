import type { StoreAddress } from './open-store.ts'

/** Where records are kept for a test, and how that place is taken down. */
export interface CrashStore {
  readonly address: StoreAddress
  close(): Promise<void>
}
