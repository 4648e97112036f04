/** Tests that fail with the wrapped client only, by a part of their file and name, and why. */
export const differences: readonly { readonly test: string; readonly why: string }[] = []
