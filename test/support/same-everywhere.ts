import { vi } from 'vitest'

/** Before each test file: what a machine's speed and a person's shell would change is taken out. */

// These wait for a second where they are not told, which a busy machine takes for one tick. What
// never happens ends by the test's own time-out.
const { waitFor, waitUntil } = vi
const PATIENCE = { timeout: 170_000 }
vi.waitFor = (callback, options) => waitFor(callback, patient(options))
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options))

function patient(options: Parameters<typeof waitFor>[1] = {}) {
  return { ...PATIENCE, ...(typeof options === 'number' ? { timeout: options } : options) }
}

// What the openai client, Node's fetch, OpenTelemetry, colour libraries and libpq read of their own
// accord. Child processes inherit what is left.
const READ_BY_LIBRARIES =
  /^(OPENAI_|AZURE_OPENAI_|ANTHROPIC_|OTEL_|PG|NODE_USE_ENV_PROXY$|NO_COLOR$|FORCE_COLOR$|COLORTERM$|(https?|all|no)_proxy$)/i
for (const name of Object.keys(process.env)) {
  if (READ_BY_LIBRARIES.test(name)) delete process.env[name]
}
