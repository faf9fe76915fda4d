import type { Metadata } from 'next'
import { connection } from 'next/server'
import { Link } from '../../components/link'
import { Dashboard } from '../../components/metrics/dashboard'
import { readFleet } from '../../lib/fleet'
import { currentUser } from '../../lib/session'
import { invalidateAll, simulate } from '../actions/cache'

export const metadata: Metadata = { title: 'Metrics' }

export default async function Page() {
  await connection()
  const user = await currentUser()
  const fleet = await readFleet(user?.isAdmin ?? false)
  return (
    <>
      <div className="title-row">
        <div>
          <h1>Metrics</h1>
          <p className="lead">What the cache does right now, in every replica of this application.</p>
        </div>
        <div className="actions metrics-actions">
          {user === null ? (
            <Link className="button button-quiet" href="/sign-in">
              Sign in to simulate visitors
            </Link>
          ) : (
            <form action={simulate}>
              <button className="button" type="submit">
                Simulate visitors
              </button>
            </form>
          )}
          {user?.isAdmin && (
            <form action={invalidateAll}>
              <button className="button button-quiet" type="submit">
                Invalidate everything
              </button>
            </form>
          )}
        </div>
      </div>
      <Dashboard first={fleet} />
    </>
  )
}
