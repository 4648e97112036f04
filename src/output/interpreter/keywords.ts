import type { Draft } from '../schema-engine.ts'
import {
  ANY_ASSERTIONS,
  ARRAY_ASSERTIONS,
  NUMBER_ASSERTIONS,
  OBJECT_ASSERTIONS,
  STRING_ASSERTIONS,
  UNIQUE_ITEMS,
} from './assertions.ts'
import type { Check } from './checks.ts'
import { ITEMS_BEFORE_2020, ITEMS_OF_2020, UNEVALUATED_ITEMS } from './items.ts'
import type { Keyword } from './keyword.ts'
import { DEPENDENT, PROPERTIES, UNEVALUATED_PROPERTIES } from './properties.ts'
import { dynamicRef, recursiveRef, ref } from './refer.ts'
import { UNIONS } from './unions.ts'

/** Keywords for values of one type, or of any type. In AJV's order, which determines the order of errors. */
export interface Group {
  readonly type?: string
  readonly keywords: readonly (readonly [string, Keyword])[]
}

/** The `id` of older drafts, which AJV rejects. */
const ID: Keyword = (): Check => {
  throw new TypeError('NOT SUPPORTED: keyword "id", use "$id" for schema ID')
}

export function groupsOf(draft: Draft): readonly Group[] {
  const isOld = draft === 'draft-07'
  const dynamic = [['$dynamicRef', dynamicRef] as const, ['$recursiveRef', recursiveRef] as const]
  return [
    {
      keywords: [
        ...(isOld ? [] : dynamic),
        ['id', ID],
        ['$ref', ref],
        ...ANY_ASSERTIONS,
        ...UNIONS,
      ],
    },
    { type: 'number', keywords: NUMBER_ASSERTIONS },
    { type: 'string', keywords: STRING_ASSERTIONS },
    {
      type: 'array',
      keywords: [
        ...ARRAY_ASSERTIONS,
        ...(draft === '2020-12' ? ITEMS_OF_2020 : ITEMS_BEFORE_2020),
        UNIQUE_ITEMS,
        ...(isOld ? [] : [UNEVALUATED_ITEMS]),
      ],
    },
    {
      type: 'object',
      keywords: [
        ...OBJECT_ASSERTIONS,
        ...PROPERTIES,
        ...(isOld ? [] : [...DEPENDENT, UNEVALUATED_PROPERTIES]),
      ],
    },
  ]
}

/** All keywords of any draft that can reject a value. */
export const KEYWORDS: ReadonlySet<string> = new Set([
  'type',
  ...groupsOf('2019-09').flatMap(({ keywords }) => keywords.map(([keyword]) => keyword)),
  'prefixItems',
])
