import { type Runtime, warnOnce } from '../call/runtime.ts'
import type { GatewayName } from '../options/nested-options.ts'

/** By what an answer shows that a gateway has handled it, and a request that its retries are seen to. */
interface GatewaySign {
  readonly name: GatewayName
  /** How names of its own response headers begin. */
  readonly marks: readonly string[]
  /** Request headers that set its retries: the caller has decided about them. */
  readonly decides: readonly string[]
  /** Its retries are off unless one of these is sent. */
  readonly isOffWithout?: string
  /** A header of a name that others might use too, by what its value has to begin with. */
  readonly markedBy?: readonly [name: string, start: string]
  /** The answer itself says that no retry is allowed. */
  readonly saysOff?: (headers: Headers) => boolean
}

// Names from the gateways' pages on response headers; LiteLLM's and Portkey's seen on the real ones.
const SIGNS: readonly GatewaySign[] = [
  {
    name: 'litellm',
    marks: ['x-litellm-'],
    decides: ['x-litellm-num-retries'],
    saysOff: (headers) => headers.get('x-litellm-max-retries') === '0',
  },
  { name: 'portkey', marks: ['x-portkey-'], decides: ['x-portkey-config'] },
  {
    name: 'helicone',
    marks: ['helicone-'],
    decides: [],
    isOffWithout: 'helicone-retry-enabled',
  },
  { name: 'cloudflare', marks: ['cf-aig-'], decides: ['cf-aig-max-attempts'] },
  {
    name: 'openrouter',
    marks: ['x-openrouter-'],
    markedBy: ['x-generation-id', 'gen-'],
    decides: [],
  },
]

/**
 * Warns once for each gateway that is seen in answers and was not named. `sent` are the headers of
 * the request.
 */
export function noticeGateway(runtime: Runtime, headers: Headers, sent: Headers | undefined): void {
  const names = [...headers.keys()]
  for (const sign of SIGNS) {
    if (!isMarked(sign, names, headers)) continue
    if (seemsOff(sign, headers, sent)) continue
    warnOnce(
      runtime,
      'STEADYCALL_GATEWAY_NOT_NAMED',
      `Answers come through ${sign.name}, whose own retries and fallbacks multiply with ours. ` +
        `Give steady() the option gateway: '${sign.name}', or ` +
        `gateway: { name: '${sign.name}', fallbacks: 'keep' } where its fallbacks are wanted.`,
      sign.name,
    )
  }
}

function isMarked(
  { marks, markedBy }: GatewaySign,
  names: readonly string[],
  headers: Headers,
): boolean {
  if (names.some((name) => marks.some((mark) => name.startsWith(mark)))) return true
  return markedBy !== undefined && headers.get(markedBy[0])?.startsWith(markedBy[1]) === true
}

function seemsOff(
  { decides, isOffWithout, saysOff }: GatewaySign,
  headers: Headers,
  sent?: Headers,
) {
  if (decides.some((name) => sent?.has(name))) return true
  if (isOffWithout !== undefined && sent?.has(isOffWithout) !== true) return true
  return saysOff?.(headers) === true
}
