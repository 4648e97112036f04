// #region set-up
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import OpenAI from 'openai'
import { steady } from 'steadycall'

// In production a BatchSpanProcessor with an OTLP exporter; steadycall needs no set-up of its own.
const exporter = new InMemorySpanExporter()
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(
  new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
)

const llm = steady(new OpenAI())
await llm.json({
  model: 'gpt-5-mini',
  messages: [{ role: 'user', content: 'Who wrote the first program, and at what age?' }],
  schema: {
    type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer' } },
    required: ['name', 'age'],
    additionalProperties: false,
  },
})
// #endregion

const spans = exporter.getFinishedSpans()
for (const call of spans.filter(({ parentSpanContext }) => parentSpanContext === undefined)) {
  console.log(`${call.name}  ${call.attributes['steadycall.outcome']}`)
  for (const { name, attributes, parentSpanContext } of spans) {
    if (parentSpanContext?.spanId !== call.spanContext().spanId) continue
    const outcome = attributes['error.type'] ?? attributes['steadycall.outcome']
    console.log(`  ${name}  ${attributes['steadycall.attempt.cause']}: ${outcome}`)
  }
}
