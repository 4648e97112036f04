import { run } from './program.mjs'

/** Calls the provider that the request names, from inside workerd. */
export default {
  async fetch(request) {
    const baseURL = new URL(request.url).searchParams.get('provider')
    try {
      return Response.json(await run(baseURL))
    } catch (error) {
      return new Response(String(error?.stack ?? error), { status: 500 })
    }
  },
}
