import { readFleet } from '../../../lib/fleet'
import { currentUser } from '../../../lib/session'

/** What the metrics page shows: figures without keys, for everybody; of which machine, for administrators. */
export async function GET() {
  const user = await currentUser()
  return Response.json(await readFleet(user?.isAdmin ?? false), { headers: { 'Cache-Control': 'no-store' } })
}
