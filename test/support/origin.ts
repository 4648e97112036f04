import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Lets a server listen on a free port until the test is over; returns its origin. */
export async function originOf(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  // An `AddressInfo` for a server that listens on a port.
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}
