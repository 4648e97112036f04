interface PlacedRepair {
  readonly rule: string
  readonly path: string
  readonly offset?: number
}

/** `fix-syntax /tags/0 @17`: the rule, the path if it is not the whole answer, and the offset if there is one. */
export function placesOf(repairs: readonly PlacedRepair[]): readonly string[] {
  return repairs.slice(0, MAX_PLACES).map(({ rule, path, offset }) => {
    const at = offset === undefined ? '' : ` @${offset}`
    return `${rule}${path === '' ? '' : ` ${path}`}${at}`
  })
}

const MAX_PLACES = 32
