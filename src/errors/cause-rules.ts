import type { Executed, FailureKind } from './failure-kinds.ts'
import { isSafeCode, readProperty, readText } from './hostile.ts'

/** Conditions on an error that came without a response. All given ones must hold; all text is lower case. */
export interface Cause {
  /** Its `code`; a trailing `*` matches any suffix. */
  readonly code?: string
  /** Its `name`, or the name of its class. */
  readonly name?: string
  /** The name of the error's `cause`. */
  readonly causeName?: string
  /** The system call that failed. */
  readonly syscall?: string
  /** Its whole message. */
  readonly message?: string
  /** A part of its message. */
  readonly text?: string
  /** A part of its stack, such as the function that threw. Read only if the error has no message. */
  readonly stack?: string
}

/** One way in which a request fails without a response. */
export interface CauseRule {
  readonly kind: FailureKind
  /** `'no'` only if the provider cannot have acted on any byte of the request. */
  readonly executed: Executed
  readonly when: Cause
  /** Reported as the failure's code if the error has none. */
  readonly code?: string
  /** Says only that something failed; its `cause`, if it has one, decides. */
  readonly vague?: true
  readonly example: {
    readonly code?: string
    readonly name?: string
    readonly syscall?: string
    readonly message?: string
    readonly stack?: string
    readonly cause?: { readonly name: string }
  }
}

/** Also tells the wire observer that the repeated requests were redirects, not retries. */
export const TOO_MANY_REDIRECTS = 'too_many_redirects'

/**
 * Requests that no `fetch` can carry out, so that sending them again is pointless. The messages are those
 * of undici (Node 24), node-fetch 2 and 3, Bun 1.4, Deno 2.9, workerd (2026-11) and Chromium; the codes
 * those of Node's `http`, undici and Bun. A server that only redirected has done no work; if a message
 * leaves open whether a server has done work, `executed` is 'maybe'.
 */
// biome-ignore format: a rule is one line
const UNSENDABLE_RULES: readonly CauseRule[] = [
  // URL: Chromium and undici, then Firefox and node-fetch.
  { kind: 'invalid_request', executed: 'no', code: 'url_credentials', when: { text: 'from a url that includes credentials' }, example: { message: 'Request cannot be constructed from a URL that includes credentials: http://u:p@127.0.0.1/' } },
  { kind: 'invalid_request', executed: 'no', code: 'url_credentials', when: { text: 'is an url with embedded credentials' }, example: { message: 'http://u:p@127.0.0.1/ is an url with embedded credentials.' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_url' }, example: { code: 'ERR_INVALID_URL', message: 'Invalid URL' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_socket_bad_port' }, example: { code: 'ERR_SOCKET_BAD_PORT', message: 'Port should be >= 0 and < 65536. Received type number (99999).' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_url', when: { text: 'failed to parse url from' }, example: { message: 'Failed to parse URL from api.openai.com/v1' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_url', when: { text: 'only absolute urls are supported' }, example: { message: 'Only absolute URLs are supported' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_url', when: { name: 'typeerror', text: 'invalid url' }, example: { name: 'TypeError', message: "Invalid URL: 'api.openai.com/v1'" } },
  { kind: 'invalid_request', executed: 'no', code: 'bad_port', when: { message: 'bad port' }, example: { message: 'bad port' } },
  { kind: 'invalid_request', executed: 'no', code: 'bad_port', when: { text: 'fetch failed: requests to port' }, example: { message: 'Fetch failed: Requests to port 6000 are blocked' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { message: 'unknown scheme' }, example: { message: 'unknown scheme' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { message: 'not implemented... yet...' }, example: { message: 'not implemented... yet...' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { message: 'about scheme is not supported' }, example: { message: 'about scheme is not supported' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { message: 'local urls only' }, example: { message: 'local URLs only' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'url scheme ' }, example: { message: "Url scheme 'ftp' not supported" } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'fetch api cannot load: ' }, example: { message: 'Fetch API cannot load: ftp://127.0.0.1/' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'protocol must be http:' }, example: { code: 'ERR_INVALID_ARG_VALUE', message: 'protocol must be http:, https: or s3:' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'only http(s) protocols are supported' }, example: { message: 'Only HTTP(S) protocols are supported' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_unsupported_protocol' }, example: { code: 'ERR_UNSUPPORTED_PROTOCOL', message: 'Unsupported protocol "ftp:"' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'unsupported protocol ' }, example: { code: 'ERR_BAD_REQUEST', message: 'Unsupported protocol ftp:' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_protocol' }, example: { code: 'ERR_INVALID_PROTOCOL', message: 'Protocol "ftp:" not supported. Expected "http:"' } },
  { kind: 'invalid_request', executed: 'no', code: 'unsupported_scheme', when: { text: 'fetching files only supports' }, example: { message: 'Fetching files only supports the GET method: received POST' } },

  // Redirects.
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { message: 'redirect count exceeded' }, example: { message: 'redirect count exceeded' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { code: 'toomanyredirects' }, example: { code: 'TooManyRedirects', message: 'TooManyRedirects: The response redirected too many times.' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { code: 'err_too_many_redirects' }, example: { code: 'ERR_TOO_MANY_REDIRECTS', message: 'Redirected 10 times. Aborting.' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { code: 'err_fr_too_many_redirects' }, example: { code: 'ERR_FR_TOO_MANY_REDIRECTS', message: 'Maximum number of redirects exceeded' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { text: 'too many redirects' }, example: { message: 'Too many redirects.http://127.0.0.1/loop, http://127.0.0.1/loop' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { text: 'maximum number of redirects' }, example: { message: 'Fetch failed: Maximum number of redirects (20) reached' } },
  { kind: 'invalid_request', executed: 'no', code: TOO_MANY_REDIRECTS, when: { text: 'maximum redirect reached at' }, example: { message: 'maximum redirect reached at: http://127.0.0.1/loop' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { message: 'unexpected redirect' }, example: { message: 'unexpected redirect' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { code: 'unexpectedredirect' }, example: { code: 'UnexpectedRedirect', message: 'UnexpectedRedirect fetching "http://127.0.0.1/"' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'redirect mode is set to' }, example: { message: "Fetch failed: Encountered redirect while redirect mode is set to 'error'" } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'cross origin not allowed for request mode' }, example: { message: 'cross origin not allowed for request mode "cors"' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { code: 'unsupportedredirectprotocol' }, example: { code: 'UnsupportedRedirectProtocol', message: 'UnsupportedRedirectProtocol fetching "http://127.0.0.1/"' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { code: 'redirecturlinvalid' }, example: { code: 'RedirectURLInvalid', message: 'RedirectURLInvalid: Redirect URL in Location header is invalid.' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'can not redirect to a non http(s) url' }, example: { message: 'Fetch failed: Can not redirect to a non HTTP(s) url' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'responds with an invalid redirect url' }, example: { message: 'uri requested responds with an invalid redirect URL: http://[::' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'invalid location header' }, example: { message: 'Invalid Location header; unable to follow redirect.' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'cannot follow redirect with body being a readable stream' }, example: { message: 'Cannot follow redirect with body being a readable stream' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'cannot be replayed for this redirect' }, example: { message: 'Request body is a ReadableStream and cannot be replayed for this redirect' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'can not redeliver a streaming request body' }, example: { message: 'Fetch failed: Can not redeliver a streaming request body after a redirect' } },
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { text: 'a request with a one-time-use body' }, example: { message: 'A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect requiring the body to be retransmitted.' } },
  // undici's error has no message; only its stack tells a redirect of a streamed body from other failures.
  { kind: 'invalid_request', executed: 'no', code: 'redirect_refused', when: { name: 'error', message: '', stack: ' httpredirectfetch (' }, example: { name: 'Error', message: '', stack: 'Error\n    at makeNetworkError (node:internal/deps/undici/undici:11843:54)\n    at httpRedirectFetch (node:internal/deps/undici/undici:13546:32)' } },

  // Headers: undici, `new Headers` of Deno and Chromium, then Bun and workerd.
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'headers.append: ' }, example: { message: 'Headers.append: "Bearer a b" is an invalid header value.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'headers.set: ' }, example: { message: 'Headers.set: "Bearer a b" is an invalid header value.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'is an invalid header name' }, example: { message: 'Headers.delete: "a b" is an invalid header name.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'headers constructor: ' }, example: { message: 'Headers constructor: expected name/value pair to be length 2, found 1.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'to a bytestring because' }, example: { message: 'Cannot convert argument to a ByteString because the character at index 8 has a value of 8594 which is greater than 255.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'is not a valid bytestring' }, example: { message: "Failed to construct 'Headers': Argument 1 is not a valid ByteString" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: "failed to construct 'headers'" }, example: { message: "Failed to construct 'Headers': Invalid value" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { name: 'typeerror', text: 'invalid header' }, example: { name: 'TypeError', message: 'Invalid header value.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { name: 'typeerror', text: 'has invalid value' }, example: { name: 'TypeError', message: "Header 'Authorization' has invalid value" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'header sub-sequence must contain exactly two items' }, example: { message: 'Header sub-sequence must contain exactly two items' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'to initialize a headers object from a sequence' }, example: { message: 'To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_char' }, example: { code: 'ERR_INVALID_CHAR', message: 'Invalid character in header content ["authorization"]' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_http_token' }, example: { code: 'ERR_INVALID_HTTP_TOKEN', message: 'Header name must be a valid HTTP token ["a b"]' } },
  // openai's own check.
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { text: 'header name must be a valid http token' }, example: { message: 'Header name must be a valid HTTP token ["a b"]' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_header', when: { message: 'expected header name to be a string' }, example: { message: 'expected header name to be a string' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_http_invalid_header_value' }, example: { code: 'ERR_HTTP_INVALID_HEADER_VALUE', message: 'Invalid value "undefined" for header "x"' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_http2_invalid_header_value' }, example: { code: 'ERR_HTTP2_INVALID_HEADER_VALUE', message: 'Invalid value "undefined" for header "x"' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_http2_invalid_connection_headers' }, example: { code: 'ERR_HTTP2_INVALID_CONNECTION_HEADERS', message: 'HTTP/1 Connection specific headers are forbidden: "connection"' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_http2_invalid_pseudoheader' }, example: { code: 'ERR_HTTP2_INVALID_PSEUDOHEADER', message: '":x" is an invalid pseudoheader or is used incorrectly' } },
  // Detected only while the body is being sent.
  { kind: 'invalid_request', executed: 'maybe', when: { code: 'und_err_req_content_length_mismatch' }, example: { code: 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', message: 'Request body length does not match content-length header' } },

  // Method, body, and other request options.
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { text: 'is not a valid http method' }, example: { message: "'PO ST' is not a valid HTTP method." } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { text: 'http method is unsupported' }, example: { message: "'TRACE' HTTP method is unsupported." } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { text: 'invalid http method string' }, example: { message: 'Invalid HTTP method string: PO ST' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { message: 'method is not valid' }, example: { message: 'Method is not valid' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { message: 'method is forbidden' }, example: { message: 'Method is forbidden' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { message: 'invalid method' }, example: { message: 'invalid method' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { text: 'method cannot have body' }, example: { message: 'Request with GET/HEAD method cannot have body.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_method', when: { text: 'method cannot have a body' }, example: { message: 'Request with a GET or HEAD method cannot have a body.' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'cannot construct a request with a request object that has already been used' }, example: { message: 'Cannot construct a Request with a Request object that has already been used.' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'cannot reconstruct a request with a used body' }, example: { message: 'Cannot reconstruct a Request with a used body.' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: "input request's body is unusable" }, example: { message: "Input request's body is unusable" } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'request body already used' }, example: { code: 'ERR_BODY_ALREADY_USED', message: 'Request body already used' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'body object should not be disturbed or locked' }, example: { message: 'Response body object should not be disturbed or locked' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'and cannot be used as a body' }, example: { message: 'This ReadableStream is disturbed (has already been read from), and cannot be used as a body.' } },
  { kind: 'invalid_request', executed: 'no', code: 'body_used', when: { text: 'readablestream is locked or disturbed' }, example: { message: 'ReadableStream is locked or disturbed' } },
  // The body of the request or of the response: a custom `fetch` may have read either before passing it on.
  { kind: 'invalid_request', executed: 'maybe', when: { code: 'err_body_already_used' }, example: { code: 'ERR_BODY_ALREADY_USED', message: 'Body already used' } },
  { kind: 'invalid_request', executed: 'maybe', code: 'body_used', when: { text: 'body is unusable' }, example: { message: 'Body is unusable: Body has already been read' } },
  { kind: 'invalid_request', executed: 'maybe', code: 'body_used', when: { text: 'body used already for' }, example: { message: 'body used already for: http://127.0.0.1/' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'requestinit: ' }, example: { message: 'RequestInit: duplex option is required when sending a body.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: "on 'requestinitializerdict'" }, example: { message: "Incorrect type for the 'signal' field on 'RequestInitializerDict': the provided value is not of type 'AbortSignal'." } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'request constructor: ' }, example: { message: 'Request constructor: invalid request mode navigate.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: "failed to construct 'request'" }, example: { message: "Failed to construct 'Request': The provided value 'x' is not a valid enum value of type RequestRedirect" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: "failed to execute 'fetch' on" }, example: { message: "Failed to execute 'fetch' on 'Window': Invalid name" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'is not an accepted type. expected one of' }, example: { message: 'undefined: x is not an accepted type. Expected one of follow, manual, error.' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'invalid redirect value, must be one of' }, example: { message: 'Invalid redirect value, must be one of "follow" or "manual"' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'redirect must be one of' }, example: { message: "redirect must be one of 'follow', 'manual' or 'error'" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'only-if-cached' }, example: { message: "'only-if-cached' can be set only with 'same-origin' mode" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { message: 'only if cached' }, example: { message: 'only if cached' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'request mode cannot be "same-origin"' }, example: { message: 'request mode cannot be "same-origin"' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { name: 'typeerror', text: '.dispatch is not a function' }, example: { name: 'TypeError', message: 'agent.dispatch is not a function' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { code: 'err_assertion', text: 'assert(dispatcher)' }, example: { code: 'ERR_ASSERTION', message: 'The expression evaluated to a falsy value:\n\n  assert(dispatcher)\n' } },
  // Node's `http`, about its request options.
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_arg_type', text: 'the "options.' }, example: { code: 'ERR_INVALID_ARG_TYPE', message: 'The "options.agent" property must be one of Agent-like Object, undefined, or false.' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_invalid_arg_value', text: 'the property \'options.' }, example: { code: 'ERR_INVALID_ARG_VALUE', message: "The property 'options.family' must be one of: 0, 4, 6. Received 5" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { name: 'typeerror', text: 'invalid referrerpolicy' }, example: { name: 'TypeError', message: 'Invalid referrerPolicy: x' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'option \'client\' must be null' }, example: { message: "'window' option 'client' must be null" } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { name: 'typeerror', message: 'keepalive' }, example: { name: 'TypeError', message: 'keepalive' } },
  { kind: 'invalid_request', executed: 'no', code: 'invalid_option', when: { text: 'integrity checking is not implemented' }, example: { message: 'Subrequest integrity checking is not implemented. The integrity option must be either undefined or an empty string.' } },
  // Checked after the response has been read, whatever its status.
  { kind: 'invalid_request', executed: 'maybe', code: 'integrity_mismatch', when: { message: 'integrity mismatch' }, example: { message: 'integrity mismatch' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'und_err_invalid_arg' }, example: { code: 'UND_ERR_INVALID_ARG', message: 'invalid transfer-encoding header' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'und_err_not_supported' }, example: { code: 'UND_ERR_NOT_SUPPORTED', message: 'expect header not supported' } },
  { kind: 'invalid_request', executed: 'no', when: { code: 'err_unescaped_characters' }, example: { code: 'ERR_UNESCAPED_CHARACTERS', message: 'Request path contains unescaped characters' } },
]

/**
 * Aborts, timeouts, TLS, name resolution, requests that cannot be sent, and the network. The first
 * match wins, so a specific message stands before a general one. The codes come from Node (the `errors`
 * and `tls` pages of its documentation, and libuv's list of errno values), undici and Bun. Messages are
 * matched for runtimes and libraries that set no code.
 */
// biome-ignore format: a rule is one line
export const CAUSE_RULES: readonly CauseRule[] = [
  { kind: 'auth', executed: 'no', code: 'no_credentials', when: { text: 'could not resolve authentication method' }, example: { message: 'Could not resolve authentication method. Expected either apiKey or adminAPIKey to be set.' } },
  // Thrown by openai's `parse` after a complete answer.
  { kind: 'truncated', executed: 'yes', when: { name: 'lengthfinishreasonerror' }, example: { name: 'LengthFinishReasonError' } },
  { kind: 'content_filter', executed: 'yes', when: { name: 'contentfilterfinishreasonerror' }, example: { name: 'ContentFilterFinishReasonError' } },

  // A proxy refused to open a tunnel; undici reports that with the code of an abort.
  { kind: 'auth', executed: 'no', code: 'proxy_authentication', when: { text: 'proxy response (407)' }, example: { code: 'UND_ERR_ABORTED', message: 'Proxy response (407) !== 200 when HTTP Tunneling' } },
  { kind: 'auth', executed: 'no', code: 'proxy_authentication', when: { message: 'proxy authentication required' }, example: { message: 'proxy authentication required' } },
  { kind: 'network', executed: 'no', when: { text: '!== 200 when http tunneling' }, example: { code: 'UND_ERR_ABORTED', message: 'Proxy response (502) !== 200 when HTTP Tunneling' } },

  { kind: 'aborted', executed: 'maybe', when: { name: 'apiuseraborterror' }, example: { name: 'APIUserAbortError' } },
  { kind: 'aborted', executed: 'maybe', when: { message: 'request was aborted.' }, example: { message: 'Request was aborted.' } },
  { kind: 'timeout', executed: 'maybe', when: { name: 'timeouterror' }, example: { name: 'TimeoutError' } },
  // Node's own functions wrap the TimeoutError of AbortSignal.timeout() in an AbortError.
  { kind: 'timeout', executed: 'maybe', when: { name: 'aborterror', causeName: 'timeouterror' }, example: { name: 'AbortError', cause: { name: 'TimeoutError' } } },
  { kind: 'aborted', executed: 'maybe', when: { name: 'aborterror' }, example: { name: 'AbortError' } },
  { kind: 'aborted', executed: 'maybe', when: { code: 'abort_err' }, example: { code: 'ABORT_ERR' } },
  { kind: 'aborted', executed: 'maybe', when: { code: 'und_err_aborted' }, example: { code: 'UND_ERR_ABORTED' } },
  { kind: 'aborted', executed: 'maybe', when: { code: 'err_canceled' }, example: { code: 'ERR_CANCELED' } },

  { kind: 'timeout', executed: 'no', when: { code: 'und_err_connect_timeout' }, example: { code: 'UND_ERR_CONNECT_TIMEOUT' } },
  { kind: 'timeout', executed: 'no', when: { code: 'err_socket_connection_timeout' }, example: { code: 'ERR_SOCKET_CONNECTION_TIMEOUT' } },
  { kind: 'timeout', executed: 'no', when: { code: 'err_tls_handshake_timeout' }, example: { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' } },
  { kind: 'timeout', executed: 'no', when: { code: 'etimedout', syscall: 'connect' }, example: { code: 'ETIMEDOUT', syscall: 'connect' } },
  { kind: 'timeout', executed: 'maybe', when: { code: 'etimedout' }, example: { code: 'ETIMEDOUT', syscall: 'read' } },
  { kind: 'timeout', executed: 'maybe', when: { code: 'esockettimedout' }, example: { code: 'ESOCKETTIMEDOUT' } },
  { kind: 'timeout', executed: 'maybe', when: { code: 'und_err_headers_timeout' }, example: { code: 'UND_ERR_HEADERS_TIMEOUT' } },
  { kind: 'timeout', executed: 'maybe', when: { code: 'und_err_body_timeout' }, example: { code: 'UND_ERR_BODY_TIMEOUT' } },
  // steadycall/transport: it came, but is not decoded beyond a limit.
  { kind: 'unknown', executed: 'yes', when: { code: 'err_answer_too_large' }, example: { code: 'ERR_ANSWER_TOO_LARGE' } },
  { kind: 'timeout', executed: 'maybe', when: { name: 'apiconnectiontimeouterror' }, example: { name: 'APIConnectionTimeoutError' } },
  { kind: 'timeout', executed: 'maybe', when: { message: 'request timed out.' }, example: { message: 'Request timed out.' } },
  { kind: 'timeout', executed: 'maybe', when: { code: 'econnaborted', text: 'timeout of' }, example: { code: 'ECONNABORTED', message: 'timeout of 1000ms exceeded' } },

  // A corrupted record on an open connection, as opposed to a failed handshake.
  { kind: 'network', executed: 'maybe', when: { code: 'err_ssl_decryption_failed_or_bad_record_mac' }, example: { code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC' } },
  { kind: 'network', executed: 'maybe', when: { code: 'err_ssl_sslv3_alert_bad_record_mac' }, example: { code: 'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC' } },
  { kind: 'network', executed: 'no', when: { text: 'before secure tls connection was established' }, example: { code: 'ECONNRESET', message: 'Client network socket disconnected before secure TLS connection was established' } },
  { kind: 'tls', executed: 'no', when: { code: 'err_tls_*' }, example: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } },
  { kind: 'tls', executed: 'no', when: { code: 'err_ssl_*' }, example: { code: 'ERR_SSL_WRONG_VERSION_NUMBER' } },
  { kind: 'tls', executed: 'no', when: { code: 'eproto' }, example: { code: 'EPROTO' } },
  { kind: 'tls', executed: 'no', when: { code: 'unknown_certificate_verification_error' }, example: { code: 'UNKNOWN_CERTIFICATE_VERIFICATION_ERROR' } },
  { kind: 'tls', executed: 'no', when: { code: 'und_err_prx_tls' }, example: { code: 'UND_ERR_PRX_TLS' } },
  { kind: 'tls', executed: 'no', when: { code: 'cert_*' }, example: { code: 'CERT_HAS_EXPIRED' } },
  { kind: 'tls', executed: 'no', when: { code: 'crl_*' }, example: { code: 'CRL_HAS_EXPIRED' } },
  { kind: 'tls', executed: 'no', when: { code: 'unable_to_*' }, example: { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' } },
  { kind: 'tls', executed: 'no', when: { code: 'depth_zero_self_signed_cert' }, example: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } },
  { kind: 'tls', executed: 'no', when: { code: 'self_signed_cert_in_chain' }, example: { code: 'SELF_SIGNED_CERT_IN_CHAIN' } },
  { kind: 'tls', executed: 'no', when: { code: 'hostname_mismatch' }, example: { code: 'HOSTNAME_MISMATCH' } },
  { kind: 'tls', executed: 'no', when: { code: 'invalid_ca' }, example: { code: 'INVALID_CA' } },
  { kind: 'tls', executed: 'no', when: { text: 'self signed certificate' }, example: { message: 'self signed certificate in certificate chain' } },
  { kind: 'tls', executed: 'no', when: { text: 'self-signed certificate' }, example: { message: 'request failed, reason: self-signed certificate' } },
  { kind: 'tls', executed: 'no', when: { text: 'unable to verify the first certificate' }, example: { message: 'unable to verify the first certificate' } },
  { kind: 'tls', executed: 'no', when: { text: 'certificate has expired' }, example: { message: 'certificate has expired' } },

  { kind: 'dns', executed: 'no', when: { code: 'enotfound' }, example: { code: 'ENOTFOUND', syscall: 'getaddrinfo' } },
  // The host name is not a valid one, for example longer than a name may be.
  { kind: 'invalid_request', executed: 'no', code: 'invalid_url', when: { code: 'einval', syscall: 'getaddrinfo' }, example: { code: 'EINVAL', syscall: 'getaddrinfo' } },
  { kind: 'dns', executed: 'no', when: { code: 'enodata' }, example: { code: 'ENODATA' } },
  { kind: 'dns', executed: 'no', when: { code: 'eai_nodata' }, example: { code: 'EAI_NODATA' } },
  { kind: 'dns', executed: 'no', when: { code: 'eai_noname' }, example: { code: 'EAI_NONAME' } },
  { kind: 'dns', executed: 'no', when: { text: 'getaddrinfo enotfound' }, example: { message: 'request to https://x.invalid failed, reason: getaddrinfo ENOTFOUND x.invalid' } },
  { kind: 'network', executed: 'no', when: { code: 'eai_again' }, example: { code: 'EAI_AGAIN', syscall: 'getaddrinfo' } },
  { kind: 'network', executed: 'no', when: { text: 'getaddrinfo eai_again' }, example: { message: 'getaddrinfo EAI_AGAIN api.openai.com' } },

  { kind: 'network', executed: 'no', when: { code: 'e*', syscall: 'getaddrinfo' }, example: { code: 'EBUSY', syscall: 'getaddrinfo' } },

  ...UNSENDABLE_RULES,

  { kind: 'network', executed: 'no', when: { code: 'econnrefused' }, example: { code: 'ECONNREFUSED' } },
  { kind: 'network', executed: 'no', when: { text: 'connect econnrefused' }, example: { message: 'request to http://127.0.0.1:1/ failed, reason: connect ECONNREFUSED 127.0.0.1:1' } },
  { kind: 'network', executed: 'no', when: { code: 'connectionrefused' }, example: { code: 'ConnectionRefused' } },
  { kind: 'network', executed: 'no', when: { code: 'failedtoopensocket' }, example: { code: 'FailedToOpenSocket' } },
  { kind: 'network', executed: 'no', when: { code: 'eaddrnotavail' }, example: { code: 'EADDRNOTAVAIL' } },
  { kind: 'network', executed: 'no', when: { code: 'emfile' }, example: { code: 'EMFILE' } },
  { kind: 'network', executed: 'no', when: { code: 'e*', syscall: 'connect' }, example: { code: 'EHOSTUNREACH', syscall: 'connect' } },
  { kind: 'network', executed: 'maybe', when: { code: 'econnreset' }, example: { code: 'ECONNRESET', syscall: 'read' } },
  { kind: 'network', executed: 'maybe', when: { code: 'connectionreset' }, example: { code: 'ConnectionReset' } },
  { kind: 'network', executed: 'maybe', when: { code: 'connectionclosed' }, example: { code: 'ConnectionClosed' } },
  { kind: 'network', executed: 'maybe', when: { code: 'econnaborted' }, example: { code: 'ECONNABORTED' } },
  { kind: 'network', executed: 'maybe', when: { code: 'epipe' }, example: { code: 'EPIPE', syscall: 'write' } },
  { kind: 'network', executed: 'maybe', when: { code: 'enotconn' }, example: { code: 'ENOTCONN' } },
  { kind: 'network', executed: 'maybe', when: { code: 'ehostunreach' }, example: { code: 'EHOSTUNREACH', syscall: 'read' } },
  { kind: 'network', executed: 'maybe', when: { code: 'ehostdown' }, example: { code: 'EHOSTDOWN' } },
  { kind: 'network', executed: 'maybe', when: { code: 'enetunreach' }, example: { code: 'ENETUNREACH' } },
  { kind: 'network', executed: 'maybe', when: { code: 'enetdown' }, example: { code: 'ENETDOWN' } },
  { kind: 'network', executed: 'maybe', when: { code: 'enetreset' }, example: { code: 'ENETRESET' } },
  { kind: 'network', executed: 'maybe', when: { code: 'und_err_socket' }, example: { code: 'UND_ERR_SOCKET', message: 'other side closed' } },
  { kind: 'network', executed: 'maybe', when: { code: 'und_err_closed' }, example: { code: 'UND_ERR_CLOSED' } },
  { kind: 'network', executed: 'maybe', when: { code: 'und_err_destroyed' }, example: { code: 'UND_ERR_DESTROYED' } },
  { kind: 'network', executed: 'maybe', when: { code: 'und_err_res_*' }, example: { code: 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' } },
  { kind: 'network', executed: 'maybe', when: { code: 'err_stream_premature_close' }, example: { code: 'ERR_STREAM_PREMATURE_CLOSE' } },
  { kind: 'network', executed: 'maybe', when: { code: 'err_http2_*' }, example: { code: 'ERR_HTTP2_STREAM_ERROR' } },
  { kind: 'network', executed: 'maybe', when: { code: 'hpe_*' }, example: { code: 'HPE_INVALID_CONSTANT' } },
  { kind: 'network', executed: 'maybe', when: { code: 'z_buf_error' }, example: { code: 'Z_BUF_ERROR', message: 'unexpected end of file' } },
  { kind: 'network', executed: 'maybe', when: { message: 'socket hang up' }, example: { message: 'socket hang up' } },
  { kind: 'network', executed: 'maybe', when: { message: 'other side closed' }, example: { message: 'other side closed' } },
  { kind: 'network', executed: 'maybe', when: { message: 'premature close' }, example: { message: 'Premature close' } },
  { kind: 'network', executed: 'maybe', when: { text: ': premature close' }, example: { message: 'Invalid response body while trying to fetch http://127.0.0.1/: Premature close' } },
  // Deno passes on the messages of hyper and rustls without a code (hyper's error.rs, hyper-util's legacy client).
  { kind: 'tls', executed: 'no', when: { text: 'invalid peer certificate' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): invalid peer certificate: UnknownIssuer' } },
  { kind: 'network', executed: 'no', when: { text: 'temporary failure in name resolution' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): dns error: failed to lookup address information: Temporary failure in name resolution' } },
  { kind: 'network', executed: 'no', when: { text: 'temporary error during hostname resolution' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): dns error: This is usually a temporary error during hostname resolution (os error 11002)' } },
  { kind: 'dns', executed: 'no', when: { text: 'dns error: ' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): dns error: failed to lookup address information: Name or service not known' } },
  { kind: 'timeout', executed: 'no', when: { text: 'tcp connect error: connection timed out' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): tcp connect error: Connection timed out (os error 110)' } },
  { kind: 'timeout', executed: 'no', when: { text: 'tcp connect error: operation timed out' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): tcp connect error: Operation timed out (os error 60)' } },
  { kind: 'network', executed: 'no', when: { text: 'client error (connect)' }, example: { message: 'error sending request for url (https://api.openai.com/): client error (Connect): tcp connect error: Connection refused (os error 111)' } },
  { kind: 'network', executed: 'no', when: { text: 'error trying to connect' }, example: { message: 'error sending request for url (https://api.openai.com/): error trying to connect: tcp connect error: Connection refused (os error 61)' } },
  { kind: 'network', executed: 'maybe', when: { text: 'error reading a body from connection' }, example: { message: 'error reading a body from connection' } },
  { kind: 'network', executed: 'maybe', when: { text: 'end of file before message length reached' }, example: { message: 'request or response body error: end of file before message length reached' } },
  { kind: 'network', executed: 'maybe', when: { text: 'unexpected eof during chunk' }, example: { message: 'unexpected EOF during chunk size line' } },
  { kind: 'network', executed: 'maybe', when: { text: 'connection closed before message completed' }, example: { message: 'error sending request from 10.1.1.1:41498 for https://api.openai.com/ (10.1.1.2:443): client error (SendRequest): connection closed before message completed' } },
  { kind: 'network', executed: 'maybe', when: { text: 'client error (sendrequest)' }, example: { message: 'error sending request from 10.1.1.1:38254 for https://api.openai.com/ (10.1.1.2:443): client error (SendRequest): http2 error: connection error received: not a result of an error' } },
  { kind: 'network', executed: 'maybe', when: { text: 'connection reset by peer (os error' }, example: { message: 'Connection reset by peer (os error 104)' } },
  { kind: 'network', executed: 'maybe', when: { text: 'broken pipe (os error' }, example: { message: 'Broken pipe (os error 32)' } },
  { kind: 'timeout', executed: 'maybe', when: { text: 'connection timed out (os error' }, example: { message: 'Connection timed out (os error 110)' } },
  // Deno's error classes for the same failures (docs.deno.com/api/deno/~/Deno.errors).
  { kind: 'network', executed: 'no', when: { name: 'connectionrefused' }, example: { name: 'ConnectionRefused' } },
  { kind: 'network', executed: 'maybe', when: { name: 'connectionreset' }, example: { name: 'ConnectionReset' } },
  { kind: 'network', executed: 'maybe', when: { name: 'connectionaborted' }, example: { name: 'ConnectionAborted' } },
  { kind: 'network', executed: 'maybe', when: { name: 'notconnected' }, example: { name: 'NotConnected' } },
  { kind: 'network', executed: 'maybe', when: { name: 'brokenpipe' }, example: { name: 'BrokenPipe' } },
  { kind: 'network', executed: 'maybe', when: { name: 'unexpectedeof' }, example: { name: 'UnexpectedEof' } },
  { kind: 'timeout', executed: 'maybe', when: { name: 'timedout' }, example: { name: 'TimedOut' } },
  // Bun's messages, for errors that lost their code on the way (`FetchTasklet` in Bun's source).
  { kind: 'network', executed: 'no', when: { text: 'is the computer able to access the url' }, example: { message: 'Unable to connect. Is the computer able to access the url?' } },
  { kind: 'network', executed: 'no', when: { text: 'was there a typo in the url or port' }, example: { message: 'Was there a typo in the url or port?' } },
  { kind: 'network', executed: 'maybe', when: { text: 'socket connection was closed unexpectedly' }, example: { message: 'The socket connection was closed unexpectedly. For more information, pass `verbose: true` in the second argument to fetch()' } },
  // workerd (developers.cloudflare.com/workers/observability/errors).
  { kind: 'network', executed: 'maybe', when: { text: 'network connection lost' }, example: { message: 'Network connection lost.' } },

  // General messages that say only that the request failed.
  { kind: 'network', executed: 'maybe', vague: true, when: { code: 'err_network' }, example: { code: 'ERR_NETWORK', message: 'Network Error' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'terminated' }, example: { message: 'terminated' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'fetch failed' }, example: { message: 'fetch failed' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'failed to fetch' }, example: { message: 'Failed to fetch' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'load failed' }, example: { message: 'Load failed' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { text: 'error sending request for url' }, example: { message: 'error sending request for url (https://api.openai.com/): connection closed' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'network error' }, example: { message: 'network error' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { text: 'networkerror when attempting to fetch resource' }, example: { message: 'NetworkError when attempting to fetch resource.' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'network request failed' }, example: { message: 'Network request failed' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { text: 'the network connection was lost' }, example: { message: 'The network connection was lost.' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { text: 'error sending request from' }, example: { message: 'error sending request from 10.1.1.1:38254 for https://api.openai.com/' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { name: 'apiconnectionerror' }, example: { name: 'APIConnectionError' } },
  { kind: 'network', executed: 'maybe', vague: true, when: { message: 'connection error.' }, example: { message: 'Connection error.' } },
]

/** The first rule that matches an error without a response, and the code to report. */
export function matchCause(error: unknown): { rule: CauseRule; code?: string } | undefined {
  const seen = observe(error)
  const rule = CAUSE_RULES.find(({ when }) => holds(when, seen))
  if (rule === undefined) return undefined
  const own = readText(error, 'code', MAX_LENGTH)
  const code = isSafeCode(own) ? own : rule.code
  return code === undefined ? { rule } : { rule, code }
}

// Error messages of runtimes are one line long.
const MAX_LENGTH = 500

interface ObservedError {
  readonly code: string
  readonly names: readonly string[]
  readonly causeNames: readonly string[]
  readonly syscall: string
  readonly message: string
  readonly stack: string
}

function observe(error: unknown): ObservedError {
  const text = typeof error === 'string' ? error.slice(0, MAX_LENGTH) : undefined
  const message = text?.toLowerCase() ?? lower(error, 'message')
  return {
    code: lower(error, 'code'),
    names: namesOf(error),
    causeNames: namesOf(readProperty(error, 'cause')),
    syscall: lower(error, 'syscall'),
    message,
    // Reading `stack` formats it, and it is full of file names, so it is read only if there is no message.
    stack: message === '' ? lower(error, 'stack') : '',
  }
}

function holds(when: Cause, seen: ObservedError): boolean {
  return (
    (when.code === undefined || codeHolds(when.code, seen.code)) &&
    (when.name === undefined || seen.names.includes(when.name)) &&
    (when.causeName === undefined || seen.causeNames.includes(when.causeName)) &&
    (when.syscall === undefined || seen.syscall === when.syscall) &&
    (when.message === undefined || seen.message === when.message) &&
    (when.text === undefined || seen.message.includes(when.text)) &&
    (when.stack === undefined || seen.stack.includes(when.stack))
  )
}

function codeHolds(pattern: string, code: string): boolean {
  return pattern.endsWith('*') ? code.startsWith(pattern.slice(0, -1)) : code === pattern
}

/** openai's errors set no `name`, so the class name is read as well. */
function namesOf(error: unknown): readonly string[] {
  return [lower(error, 'name'), lower(readProperty(error, 'constructor'), 'name')]
}

function lower(value: unknown, key: string): string {
  return readText(value, key, MAX_LENGTH)?.toLowerCase() ?? ''
}
