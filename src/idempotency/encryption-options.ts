/** Encrypts kept results with AES-256-GCM. */
export interface EncryptionOptions {
  /**
   * By id (1–64 of `A–Z a–z 0–9 _ . -`): 32 random bytes, or their base64. All may read; to rotate,
   * add a key everywhere, then `use` it, and remove the old one after `ttlMs`.
   */
  readonly keys: Readonly<Record<string, string | Uint8Array>>
  /** The id of the key that new results are encrypted with. */
  readonly use: string
  /**
   * Whether a result that is not encrypted is taken: while encryption is being introduced, for
   * `ttlMs`. Without it nobody who can write to the store can plant one. @default false
   */
  readonly acceptPlain?: boolean
}
