// Free text may quote a prompt or data, so only identifiers are reported.
const SAFE_CODE = /^[\w.:-]{1,100}$/

/** Whether this is an identifier that reports, events and spans may show as a `code`. */
export function isSafeCode(value: unknown): value is string {
  return typeof value === 'string' && SAFE_CODE.test(value)
}
