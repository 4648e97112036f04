import { describe, expect, it } from 'vitest'
import { beginCall, isWithinOpenStream, openInFlow } from '../../../src/call/nesting.ts'

/** A call that hands out a stream; returns what is called at the stream's end. */
async function openStream(): Promise<() => void> {
  beginCall()
  await Promise.resolve()
  return openInFlow()
}

/** Is a new call of this flow made while a stream of the flow is open? */
async function isInside(): Promise<boolean> {
  beginCall()
  await Promise.resolve()
  return isWithinOpenStream()
}

describe('a call in a flow of streams', () => {
  it('is within the earlier of two streams side by side when the later has ended', async () => {
    const endFirst = await openStream()
    const endSecond = await openStream()
    endSecond()
    expect(await isInside()).toBe(true)
    endFirst()
    expect(await isInside()).toBe(false)
  })

  it('is within the later of two streams side by side when the earlier has ended', async () => {
    const endFirst = await openStream()
    const endSecond = await openStream()
    endFirst()
    expect(await isInside()).toBe(true)
    endSecond()
    expect(await isInside()).toBe(false)
  })

  it.each([
    ['in the order in which they were opened', (ends: readonly (() => void)[]) => ends],
    ['the latest first', (ends: readonly (() => void)[]) => ends.toReversed()],
  ])('does not notice how many streams have ended, %s', async (_, inOrder) => {
    const first = await openStream()
    const ends: (() => void)[] = []
    for (let made = 0; made < 20_000; made += 1) ends.push(await openStream())
    for (const end of inOrder(ends)) end()
    expect(await isInside()).toBe(true)
    first()
    expect(await isInside()).toBe(false)
  })

  it('holds no stream of a dispatcher that has ended', async () => {
    // One stream is always open, so that no call starts outside of all streams.
    const link = () => ({ end: undefined as (() => void) | undefined })
    let previous = link()
    previous.end = await openStream()
    const before = await heapUsed()
    for (let made = 0; made < 100_000; made += 1) {
      const next = link()
      next.end = await openStream()
      previous.end?.()
      previous = next
    }
    const growth = (await heapUsed()) - before
    previous.end?.()
    // 100,000 linked calls are 8 MB and more.
    expect(growth).toBeLessThan(2e6)
  })
})

async function heapUsed(): Promise<number> {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  if (typeof gc === 'function') gc()
  return process.memoryUsage().heapUsed
}
