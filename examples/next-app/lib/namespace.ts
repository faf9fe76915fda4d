// The embedded Postgres begins anew with each process, and what others cached of theirs would be of another database.

import { randomUUID } from 'node:crypto'
import { shared } from './shared'

/** Of at most 64 characters. */
const MOST = 50

/** Until this process ends, its entries in Redis are its own. To be called before the first read. */
export function useOwnNamespace() {
  const name = process.env.TIDECACHE_NAMESPACE || 'next-app'
  const own = () => `${name.slice(0, MOST)}.${randomUUID().slice(0, 13)}`
  process.env.TIDECACHE_NAMESPACE = shared('namespace', own)
}
