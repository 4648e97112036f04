import type { WordingRule } from './wording.ts'

// biome-ignore format: a rule is one line, its example the next
export const REGION_WORDINGS: readonly WordingRule[] = [
  { kind: 'region_blocked', when: { code: 'unsupported_country_region_territory' },
    example: [403, '{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}'] },
  { kind: 'region_blocked', when: { text: 'country, region, or territory not supported' },
    example: [403, '{"detail":"Country, region, or territory not supported"}'] },
  { kind: 'region_blocked', when: { text: 'unsupported countries, regions, or territories' },
    example: [400, '{"error":{"message":"Access to Anthropic models is not allowed from unsupported countries, regions, or territories.","type":"invalid_request_error"}}'] },
  { kind: 'region_blocked', when: { text: 'user location is not supported' },
    example: [400, '[{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}]'] },
  { kind: 'region_blocked', when: { text: 'not available in your region' },
    example: [403, '{"error":{"message":"This model is not available in your region.","code":403}}'] },
  { kind: 'region_blocked', when: { text: 'not available in your country' },
    example: [400, '[{"error":{"code":400,"message":"Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.","status":"FAILED_PRECONDITION"}}]'] },
  { kind: 'region_blocked', when: { text: 'has banned the country or region your ip address is in' },
    example: [403, '<title>Access denied</title> The owner of this website has banned the country or region your IP address is in from accessing this website.'] },
]
