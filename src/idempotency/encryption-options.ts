/** Encrypts stored results with AES-256-GCM. */
export interface EncryptionOptions {
  /**
   * Keys by id (1–64 of `A–Z a–z 0–9 _ . -`), each 32 random bytes or their base64. Every key here can
   * decrypt. To rotate: add the new key in every process, then `use` it, and remove the old one after `ttlMs`.
   */
  readonly keys: Readonly<Record<string, string | Uint8Array>>
  /** The id of the key that encrypts new results. */
  readonly use: string
  /**
   * Whether unencrypted results are accepted. Set it for `ttlMs` while introducing encryption; otherwise
   * anyone with write access to the store could plant a result. @default false
   */
  readonly acceptPlain?: boolean
}
