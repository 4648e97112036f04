/** A server that brings what it needs, and no more of node_modules than Next itself. */
export default { output: 'standalone', outputFileTracingRoot: import.meta.dirname }
