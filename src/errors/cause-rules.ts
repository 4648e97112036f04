import type { CauseRule } from './cause-rule.ts'
import { UNSENDABLE_RULES } from './unsendable-rules.ts'

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
