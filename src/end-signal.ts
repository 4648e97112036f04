/**
 * The end of something, for one listener: told when it comes, or at once to who listens only then.
 * An abort can end a stream before any code has begun to wait for that.
 */
export class EndSignal<T> {
  #end: { readonly how: T } | undefined
  #listener: ((how: T) => void) | undefined

  /** Only the first time counts. */
  tell(how: T): void {
    if (this.#end !== undefined) return
    this.#end = { how }
    this.#listener?.(how)
  }

  whenEnded(listener: (how: T) => void): void {
    this.#listener = listener
    if (this.#end !== undefined) listener(this.#end.how)
  }
}
