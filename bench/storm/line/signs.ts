/**
 * What the end of an attempt says of its target:
 *
 * - `success`: a good answer
 * - `answered`: not what was wanted, but the target is well (a 400, a spent quota, a refusal)
 * - `limited`: a rate limit
 * - `refused`: no capacity, or no connection: it was not executed
 * - `slow`: no answer in time
 * - `error`: it failed after it had begun
 * - `nothing`: never sent, aborted, or a failure that never reached it
 */
export type Sign = 'success' | 'answered' | 'limited' | 'refused' | 'slow' | 'error' | 'nothing'
