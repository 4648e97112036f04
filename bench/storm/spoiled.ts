import type { Policy } from './policies.ts'
import type { ShippedPolicy } from './shipped-client.ts'

/** Our policy with one part taken out: what that part is there for has to show. */
const parts = {
  'no limits': { limits: 'off' },
  'no patience': { call: { maxWaitMs: 0 } },
} as const satisfies Readonly<Record<string, ShippedPolicy>>

export const spoiled: readonly Policy[] = Object.entries<ShippedPolicy>(parts).map(
  ([name, shipped]) => ({ name, shipped }),
)
