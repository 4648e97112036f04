import type { Wording, WordingRule } from './wording.ts'

// A throttle counts tokens too ('Too many tokens, please wait'): never a 429 or a plea to wait.
const throttled: Pick<Wording, 'notStatus' | 'without'> = {
  notStatus: [429],
  without: 'please wait',
}

// What else may be too long or too many: the output, one string of many, files, limits of a minute.
const notThePrompt = ['max_tokens', 'max_new_tokens', 'max_completion_tokens', 'max_output_tokens', 'maximum tokens you requested', 'output token', 'string', 'image', 'pixel', 'dimension', 'audio', 'video', 'file', 'upload', 'document', 'tool', 'function', 'name', 'description', 'schema', 'array', 'rate', 'quota', 'credit', 'per minute', 'per second', 'per day', 'per hour', 'tpm', 'timeout', 'time', 'too many requests']

/** Under any other status, 5xx included: some servers and routers wrap an overflow in 500 or 502. */
// biome-ignore format: a rule is one line, its example the next
export const CONTEXT_WORDINGS: readonly WordingRule[] = [
  { kind: 'context_length', when: { ...throttled, code: 'context_length_exceeded' },
    example: [400, '{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"Your input is too long.","param":"input"}}'] },
  { kind: 'context_length', when: { ...throttled, code: 'exceed_context_size_error' },
    example: [500, '{"error":{"code":500,"message":"the request exceeds the context size","type":"exceed_context_size_error","n_prompt_tokens":1407,"n_ctx":256}}'] },
  { kind: 'context_length', when: { ...throttled, code: 'token_limit_exceeded' },
    example: [400, '{"error":{"message":"Provider returned error","code":400,"metadata":{"error_type":"token_limit_exceeded"}}}'] },
  { kind: 'context_length', when: { ...throttled, code: 'model_max_prompt_tokens_exceeded' },
    example: [400, '{"error":{"message":"prompt token count of 130000 exceeds the limit of 128000","code":"model_max_prompt_tokens_exceeded"}}'] },
  // Zhipu: the prompt is too long
  { kind: 'context_length', when: { ...throttled, code: '1261' },
    example: [400, '{"error":{"code":"1261","message":"Prompt 超长"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'maximum context length' },
    example: [400, `{"object":"error","message":"This model's maximum context length is 131072 tokens. However, you requested 156632 tokens (152536 in the messages, 4096 in the completion).","type":"BadRequestError","param":null,"code":400}`] },
  { kind: 'context_length', when: { ...throttled, text: "model's context length" },
    example: [400, `{"error":{"message":"You passed 1015 input tokens and requested 10 output tokens. However, the model's context length is only 1024 tokens.","type":"BadRequestError","param":"input_tokens","code":400}}`] },
  { kind: 'context_length', when: { ...throttled, text: 'exceeds the context window' },
    example: [400, '{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again."}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'context window limit' },
    example: [413, '{"errors":[{"message":"AiError: The estimated number of input and maximum output tokens (32789) exceeded this model context window limit (24000).","code":5021}],"success":false}'] },
  { kind: 'context_length', when: { ...throttled, text: 'context window exceeds limit' },
    example: [400, '{"type":"error","error":{"type":"bad_request_error","message":"invalid params, context window exceeds limit (2013)","http_code":"400"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'exceed context limit' },
    example: [400, '{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 179413 + 32768 > 200000, decrease input length or `max_tokens` and try again"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'exceeds the available context' },
    example: [500, '{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"server_error"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'context size has been exceeded' },
    example: [200, '{"error":"Context size has been exceeded."}'] },
  { kind: 'context_length', when: { ...throttled, text: 'exceeded max context length' },
    example: [400, '{"error":"prompt too long; exceeded max context length by 1234 tokens"}'] },
  { kind: 'context_length', when: { ...throttled, text: 'prompt is too long' },
    example: [400, '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210543 tokens > 200000 maximum"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'maximum prompt length' },
    example: [400, `{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}`] },
  { kind: 'context_length', when: { ...throttled, text: 'input token count' },
    example: [400, '[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]'] },
  { kind: 'context_length', when: { ...throttled, text: 'input is too long' },
    example: [400, '{"message":"Input is too long for requested model."}'] },
  { kind: 'context_length', when: { ...throttled, text: 'exceeded model token limit' },
    example: [400, '{"error":{"message":"Invalid request: Your request exceeded model token limit: 131072","type":"invalid_request_error"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'range of input length should be' },
    example: [400, '{"error":{"code":"invalid_parameter_error","message":"Range of input length should be [1, 129024]","type":"invalid_request_error"}}'] },
  { kind: 'context_length', when: { ...throttled, text: 'tokens in the prompt cannot exceed' },
    example: [400, '{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5125."}'] },
  { kind: 'context_length', when: { ...throttled, text: ['prompt_tokens', 'max_seq_len'] },
    example: [400, '{"code":20015,"message":"length of prompt_tokens (68957) must be less than max_seq_len (65536).","data":null}'] },
  { kind: 'context_length', when: { ...throttled, text: '`inputs` tokens + `max_new_tokens`' },
    example: [422, '{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512. Given: 1000 `inputs` tokens and 1024 `max_new_tokens`","error_type":"validation"}'] },
  { kind: 'context_length', when: { ...throttled, text: '`inputs` must have less than' },
    example: [422, '{"error":"Input validation error: `inputs` must have less than 1024 tokens. Given: 1872","error_type":"validation"}'] },
  { kind: 'context_length', when: { ...throttled, text: ['n_keep', 'n_ctx'] },
    example: [400, '{"error":"Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}'] },
  { kind: 'context_length', when: { ...throttled, text: 'trying to keep the first' },
    example: [400, '{"error":"Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}'] },
  { kind: 'context_length', when: { ...throttled, text: 'reduce the length of the messages' },
    example: [400, '{"error":{"message":"Please reduce the length of the messages or completion."}}'] },
  { kind: 'context_length', when: { ...throttled, notStatus: [402, 429], clause: [['input', 'prompt', 'context', 'messages', 'conversation', 'history', 'request size', 'request length', 'this request', 'your request', 'requested token'], ['token', 'length', 'long', 'context', 'window', 'size'], ['exceed', 'longer than', 'greater than', 'larger than', 'too long', 'too large', 'too big', 'too many', 'overflow', 'does not fit', 'beyond', 'over the']], except: notThePrompt },
    example: [400, '{"error":{"message":"Input length 265330 exceeds the maximum allowed input length of 262144 tokens.","type":"invalid_request_error","param":null,"code":null}}'] },
  { kind: 'context_length', when: { ...throttled, clause: [['上下文', '输入长度', '提示词'], ['超', '过长', '太长']] },
    example: [400, '{"error":{"message":"上下文长度超出模型最大限制"}}'] },
]
