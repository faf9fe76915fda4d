import { readFleet } from '../../../lib/fleet'

/** What the metrics page shows: figures without keys and without secrets, for everybody. */
export async function GET(_request: Request) {
  return Response.json(await readFleet(), { headers: { 'Cache-Control': 'no-store' } })
}
