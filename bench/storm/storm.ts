import type { CallEnd, Client, ClientRequest } from './client.ts'
import { Measured, type Result } from './measure.ts'
import { ModelledClient } from './modelled-client.ts'
import type { Policy } from './policies.ts'
import { Provider } from './provider.ts'
import { exponential, seeded, seedFor } from './random.ts'
import type { Scenario } from './scenario.ts'
import { optionsOf, ShippedClient } from './shipped-client.ts'
import { VirtualTime } from './virtual-time.ts'

/** Plays one scenario with one policy. The same seed gives the same result, to the last event. */
export async function storm(
  scenario: Scenario,
  policy: Policy,
  seed: number,
  /** Called when the clients are there, before anything has happened and when all is over. */
  watch: (moment: 'before' | 'after') => void = () => {},
): Promise<Result> {
  const time = new VirtualTime(turnsOf(policy))
  if (scenario.suspended !== undefined) time.suspend(scenario.suspended)
  const randomOf = (part: Part) => seeded(seedFor(seed, PARTS.indexOf(part)))
  const providers = [new Provider(time, randomOf('first'), scenario.provider)]
  if (scenario.second !== undefined) {
    providers.push(new Provider(time, randomOf('second'), scenario.second))
  }
  const measured = new Measured(scenario, time, providers)
  const request: ClientRequest = {
    time,
    random: randomOf('clients'),
    hasSecond: scenario.second !== undefined,
    attemptTimeoutMs: scenario.attemptTimeoutMs,
    provider(index) {
      measured.sent()
      // Only a client that was told of a second provider asks for it.
      return providers[index] as Provider
    },
  }
  const newClient = clientsOf(policy, request)
  const clients = Array.from({ length: scenario.clients }, newClient)
  const { restartAtMs } = scenario
  if (restartAtMs !== undefined) {
    time.after(restartAtMs, () => {
      for (let index = 0; index < clients.length; index += 1) clients[index] = newClient()
    })
  }
  const call: Call = (index, ended = () => {}, bulk = false) => {
    const begunMs = time.nowMs
    // A batch is there for the others to meet; its own calls are not measured.
    if (!bulk) measured.called(index)
    clients[index]?.call((end: CallEnd) => {
      if (!bulk) measured.ended(index, begunMs, end)
      ended()
    }, bulk)
    time.wake()
  }
  load(scenario, time, randomOf('arrivals'), randomOf('choice'), call)
  watch('before')
  await time.run()
  watch('after')
  return measured.result()
}

type Random = () => number
type Call = (client: number, ended?: () => void, bulk?: boolean) => void

const PARTS = ['arrivals', 'choice', 'first', 'second', 'clients'] as const
type Part = (typeof PARTS)[number]

/** Turns of the event loop before the next event: a modelled client makes no promises to wait for. */
function turnsOf(policy: Policy): number {
  if ('modelled' in policy) return 0
  return 'turns' in policy ? policy.turns : 1
}

/** Makes one more client of the policy. */
function clientsOf(policy: Policy, request: ClientRequest): () => Client {
  if ('modelled' in policy) return () => new ModelledClient(request, policy.modelled)
  if ('client' in policy) return () => policy.client(request)
  const options = optionsOf(policy.shipped, request.attemptTimeoutMs)
  return () => new ShippedClient(request, policy.shipped, options)
}

function load(
  { load: kind, clients, joinMs = 0, batch, surge, burst, untilMs }: Scenario,
  time: VirtualTime,
  arrivals: Random,
  choice: Random,
  call: Call,
): void {
  if (kind.kind === 'open') {
    const next = () => {
      const surging = surge && time.nowMs >= surge.fromMs && time.nowMs < surge.untilMs
      const perSecond = kind.perSecond * (surging ? surge.times : 1)
      const waitMs = exponential(arrivals, 1_000 / perSecond)
      if (time.nowMs + waitMs >= untilMs) return
      time.after(waitMs, () => {
        call(Math.floor(choice() * clients))
        next()
      })
    }
    next()
  } else {
    let left = kind.calls ?? Infinity
    const work = (client: number) => {
      const thinkMs = exponential(arrivals, kind.thinkMs)
      if (left === 0 || time.nowMs + thinkMs >= untilMs) return
      left -= 1
      time.after(thinkMs, () => call(client, () => work(client)))
    }
    for (let worker = 0; worker < clients * kind.workers; worker += 1) {
      const client = worker % clients
      if (joinMs === 0) work(client)
      else time.after(joinMs * client, () => work(client))
    }
  }
  if (batch !== undefined) {
    const work = () => {
      if (time.nowMs < untilMs) call(0, work, true)
    }
    time.after(batch.fromMs, () => {
      for (let worker = 0; worker < batch.workers; worker += 1) work()
    })
  }
  if (burst === undefined) return
  time.after(burst.atMs, () => {
    for (let client = 0; client < clients; client += 1) {
      for (let count = 0; count < burst.callsPerClient; count += 1) call(client)
    }
  })
}
