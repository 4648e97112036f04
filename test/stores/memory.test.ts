import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/stores/memory-store.ts'
import { storeSuite } from '../../src/testing/store-suite.ts'
import { VirtualClock } from '../unit/idempotency/virtual-clock.ts'

storeSuite(
  'memory',
  async () => {
    const clock = new VirtualClock()
    return { store: memoryStore({ clock }), advance: (ms) => clock.advance(ms) }
  },
  { describe, it, expect },
)
