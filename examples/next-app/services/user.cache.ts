// Players: they never change here.

import { getOrSet } from 'tidecache/next'
import { query } from '../lib/database'
import type { ReadOptions } from '../lib/reads'

export interface User {
  id: number
  name: string
  isAdmin: boolean
}

/** The user, or null. */
export function getUser(id: number, options?: ReadOptions): Promise<User | null> {
  const load = async () => {
    const sql = 'SELECT id, name, is_admin AS "isAdmin" FROM users WHERE id = $1'
    const [user = null] = await query<User>(sql, [id])
    return user
  }
  return getOrSet(`user:${id}`, load, { ttl: '10m', ...options })
}
