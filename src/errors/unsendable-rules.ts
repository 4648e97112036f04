import type { CauseRule } from './cause-rule.ts'

/** Also tells the wire observer that the repeated requests were redirects, not retries. */
export const TOO_MANY_REDIRECTS = 'too_many_redirects'

/**
 * Requests that no `fetch` can carry out, so that sending them again is pointless. The messages are those
 * of undici (Node 24), node-fetch 2 and 3, Bun 1.4, Deno 2.9, workerd (2026-11) and Chromium; the codes
 * those of Node's `http`, undici and Bun. A server that only redirected has done no work; if a message
 * leaves open whether a server has done work, `executed` is 'maybe'.
 */
// biome-ignore format: a rule is one line
export const UNSENDABLE_RULES: readonly CauseRule[] = [
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
