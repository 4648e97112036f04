/** As many choices as the request asks for. */
export function choicesAsked({ n }: Readonly<Record<string, unknown>>): number {
  return typeof n === 'number' && n > 1 ? n : 1
}
