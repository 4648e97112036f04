import {
  answers,
  damagedJson,
  type Fault,
  fencedJson,
  malformedJson,
  schemaInvalid,
  truncatedJson,
  wrongTypes,
} from '../../src/testing/index.ts'
import { TICKET, TICKET_TEXT } from '../ticket.ts'

/** A first answer that is not quite the JSON that was asked for; the next one is. */
export interface MalformedAnswer {
  readonly name: string
  readonly fault: Fault
  /** Its value can be read with certainty, so that asking again is money lost. */
  readonly readable: boolean
  /** What it says. @default the ticket */
  readonly value?: unknown
}

const said = (text: string) => answers(text)
const SUMMARY = TICKET.summary

export const MALFORMED_ANSWERS: readonly MalformedAnswer[] = [
  { name: 'a sentence and a fence', fault: fencedJson(), readable: true },
  { name: 'Python literals', fault: damagedJson(), readable: true },
  { name: 'numbers and booleans as strings', fault: wrongTypes(), readable: true },
  {
    name: 'prose on both sides',
    fault: said(`Sure! ${TICKET_TEXT} Anything else?`),
    readable: true,
  },
  {
    name: 'reasoning before it',
    fault: said(`<think>Is {"priority": 9} right? No.</think>\n${TICKET_TEXT}`),
    readable: true,
  },
  { name: 'a byte order mark', fault: said(`\u{feff}${TICKET_TEXT}`), readable: true },
  { name: 'a trailing comma', fault: said(TICKET_TEXT.replace('}', ',}')), readable: true },
  {
    name: 'a comment',
    fault: said(TICKET_TEXT.replace('"priority":2', '/* high */ "priority":2')),
    readable: true,
  },
  {
    name: 'unquoted names',
    fault: said(TICKET_TEXT.replace('"priority"', 'priority').replace('"refund"', 'refund')),
    readable: true,
  },
  { name: 'JSON inside a string', fault: said(JSON.stringify(TICKET_TEXT)), readable: true },
  { name: 'a wrapper', fault: said(JSON.stringify({ ticket: TICKET })), readable: true },
  {
    name: 'an enum in capitals',
    fault: said(TICKET_TEXT.replace('billing', 'Billing')),
    readable: true,
  },
  {
    name: 'a raw line break in a string',
    fault: said(TICKET_TEXT.replace('; the', ';\nthe')),
    readable: true,
    value: { ...TICKET, summary: SUMMARY.replace('; the', ';\nthe') },
  },
  { name: 'keys and arrows', fault: malformedJson(), readable: false },
  { name: 'lists for scalars', fault: schemaInvalid(), readable: false },
  {
    name: 'a required field left out',
    fault: said(JSON.stringify({ category: 'billing', priority: 2, summary: SUMMARY })),
    readable: false,
  },
  {
    name: 'a fraction for an integer',
    fault: said(TICKET_TEXT.replace(':2,', ':2.5,')),
    readable: false,
  },
  {
    name: 'a word for a number',
    fault: said(TICKET_TEXT.replace(':2,', ':"two",')),
    readable: false,
  },
  {
    name: 'two different answers',
    fault: said(`${TICKET_TEXT}\nor\n${TICKET_TEXT.replace(':2,', ':3,')}`),
    readable: false,
  },
  { name: 'cut by the limit', fault: truncatedJson(), readable: false },
]
