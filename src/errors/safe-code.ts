// Free text, which may quote a prompt or a row, must not get into reports and spans.
const SAFE_CODE = /^[\w.:-]{1,100}$/

/** Is this an identifier that reports, events and spans may show as a `code`? */
export function isSafeCode(value: unknown): value is string {
  return typeof value === 'string' && SAFE_CODE.test(value)
}
