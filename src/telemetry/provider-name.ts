// Values of gen_ai.provider.name in the GenAI semantic conventions 1.41, by host.
const PROVIDERS: readonly (readonly [suffix: string, name: string])[] = [
  ['.openai.azure.com', 'azure.ai.openai'],
  ['.services.ai.azure.com', 'azure.ai.inference'],
  ['api.groq.com', 'groq'],
  ['api.deepseek.com', 'deepseek'],
  ['api.mistral.ai', 'mistral_ai'],
  ['api.x.ai', 'x_ai'],
  ['api.perplexity.ai', 'perplexity'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['api.anthropic.com', 'anthropic'],
]

/** The telemetry flavour of a host; `openai` for all that speak its protocol under other names. */
export function providerName(host: string): string {
  return PROVIDERS.find(([suffix]) => host.endsWith(suffix))?.[1] ?? 'openai'
}
