process.env['LANGSMITH_TRACING'] = 'true'
process.env['LANGSMITH_ENDPOINT'] = 'http://127.0.0.1:9'
process.env['LANGSMITH_API_KEY'] = 'none'
