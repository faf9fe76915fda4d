'use server'

import { invalidate } from 'tidecache/next'
import { currentUser } from '../../lib/session'
import { simulateVisitors } from '../../lib/traffic'

/** For administrators: nothing that is cached is served any more, in any replica. */
export async function invalidateAll() {
  const user = await currentUser()
  if (user?.isAdmin) await invalidate({ all: true })
}

/** For who is signed in. Returns at once; the visitors stay for half a minute. */
export async function simulate() {
  if ((await currentUser()) !== null) simulateVisitors()
}
