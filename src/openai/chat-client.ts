/**
 * What steadycall needs of an openai client: the one method. `OpenAI`, `AzureOpenAI`, subclasses,
 * proxies around them and a test's double have it; what else a real client has is used where it is
 * there.
 */
export interface ChatClient {
  readonly baseURL?: string
  readonly maxRetries?: number
  readonly timeout?: number
  readonly chat: { readonly completions: { create(body: never, options?: never): unknown } }
}
