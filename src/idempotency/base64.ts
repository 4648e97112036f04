/** Bytes as base64, using only functions that every runtime has. */
export function base64Of(bytes: Uint8Array): string {
  let binary = ''
  // In chunks, because each byte becomes an argument of the call.
  for (let start = 0; start < bytes.length; start += 8_192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8_192))
  }
  return btoa(binary)
}

/** @throws {Error} for any text that `base64Of` does not produce, such as missing padding or white space. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
  // `atob` is lenient, but two different texts must not decode to the same bytes.
  const lastGroup = bytes.subarray(Math.floor(Math.max(0, bytes.length - 1) / 3) * 3)
  const isCanonical =
    text.length === 4 * Math.ceil(bytes.length / 3) && text.endsWith(base64Of(lastGroup))
  if (!isCanonical) throw new Error('not canonical base64')
  return bytes
}
