import { type CompletionInit, type FinishReason, isRecord } from './completion.ts'
import { checkNames, describe, type Fault } from './exchange.ts'

/** A complete answer with exactly this text. @default finishReason 'stop' */
export function answers(
  text: string,
  options: { readonly finishReason?: FinishReason } = {},
): Fault {
  if (typeof text !== 'string') {
    throw new TypeError(`answers: text is ${describe(text)}; allowed is a string`)
  }
  checkNames('answers', options, ['finishReason'])
  return says('answers', { content: text, finishReason: options.finishReason ?? 'stop' })
}

/** Calls one tool; the arguments are raw text and need not be valid JSON. */
export function callsTool(name: string, argumentsText: string): Fault {
  return says('callsTool', { toolCalls: [{ name, arguments: argumentsText }] })
}

/** A completion whose `choices` is empty: billed, but without an answer. */
export function emptyChoices(): Fault {
  return says('emptyChoices', { content: '', choices: 0 })
}

/**
 * Not JSON and not repairable: the good answer's keys, with arrows and prose in place of the values. As with
 * all of these faults, a request without a schema gets its sentence under the key `answer`.
 */
export function malformedJson(): Fault {
  return distorts('malformedJson', (good) => {
    const keys = isRecord(good) ? Object.keys(good) : []
    const named = keys.length > 0 ? keys : ['answer']
    const entries = named.map((key) => `${JSON.stringify(key)} => not in the text`)
    return { content: `{${entries.join(', ')}}` }
  })
}

/**
 * The good answer with damaged syntax: single quotes, trailing commas and `True`, as in Python. An answer
 * without strings, lists, objects or booleans gets a comment instead.
 */
export function damagedJson(): Fault {
  return distorts('damagedJson', (good) => {
    const text = pythonic(good)
    return { content: text === JSON.stringify(good) ? `${text} // as asked` : text }
  })
}

/** The good answer as a chat model wraps it: a sentence, then the JSON in a Markdown code fence. */
export function fencedJson(): Fault {
  return distorts('fencedJson', (good) => ({
    content: `Here is the JSON:\n\`\`\`json\n${JSON.stringify(good, null, 2)}\n\`\`\``,
  }))
}

/**
 * Valid JSON of the wrong shape, which no lossless repair can fix: each scalar at the top level becomes a list,
 * each list or object a string. A schema that allows any value there accepts it.
 */
export function schemaInvalid(): Fault {
  return distorts('schemaInvalid', (good) => {
    if (!isRecord(good)) return { content: '{"wrong": ["wrong"], "shape": ["wrong"]}' }
    const entries = Object.entries(good)
    if (entries.length === 0) return { content: '["wrong"]' }
    const wrong = entries.map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null ? 'wrong' : ['wrong', 'wrong'],
    ])
    return { content: JSON.stringify(Object.fromEntries(wrong)) }
  })
}

/**
 * The right values in the wrong types, which lossless coercion can fix: numbers and booleans as strings. If the
 * good answer has none, the whole answer becomes a JSON string.
 */
export function wrongTypes(): Fault {
  return distorts('wrongTypes', (good) => {
    const right = JSON.stringify(good)
    const wrong = JSON.stringify(good, (_key, value: unknown) =>
      typeof value === 'number' || typeof value === 'boolean' ? String(value) : value,
    )
    return { content: wrong === right ? JSON.stringify(right) : wrong }
  })
}

/** The first half of the good answer with finish reason `length`, as if cut by the output limit. */
export function truncatedJson(): Fault {
  return distorts('truncatedJson', (good) => {
    const text = JSON.stringify(good)
    return { content: text.slice(0, Math.floor(text.length / 2)), finishReason: 'length' }
  })
}

/** A `refusal` instead of content (OpenAI guide 'Structured outputs', 'Refusals'). */
export function refusal(text = "I'm sorry, I can't help with that."): Fault {
  return says('refusal', { refusal: text })
}

/** Finish reason `content_filter` and no text (OpenAI API reference, chat completion object). */
export function contentFilter(): Fault {
  return says('contentFilter', { content: '', finishReason: 'content_filter' })
}

/** A fault that gives the same complete answer to every request. */
function says(name: string, answer: CompletionInit): Fault {
  return { name, apply: (exchange) => exchange.complete(answer) }
}

/** A fault that gives a complete answer derived from the good one. */
function distorts(name: string, distort: (good: unknown) => CompletionInit): Fault {
  return {
    name,
    apply: (exchange) => exchange.complete(distort(parseAnswer(exchange.goodAnswer()))),
  }
}

function parseAnswer(goodAnswer: string): unknown {
  try {
    return JSON.parse(goodAnswer)
  } catch {
    return { answer: goodAnswer }
  }
}

function pythonic(value: unknown): string {
  if (typeof value === 'string') {
    const inner = JSON.stringify(value).slice(1, -1)
    return `'${inner.replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  }
  if (Array.isArray(value)) return `[${value.map((item) => `${pythonic(item)}, `).join('')}]`
  if (isRecord(value)) {
    const entries = Object.entries(value).map(
      ([key, item]) => `${pythonic(key)}: ${pythonic(item)}, `,
    )
    return `{${entries.join('')}}`
  }
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return JSON.stringify(value)
}
