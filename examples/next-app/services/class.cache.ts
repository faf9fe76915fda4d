// The classes of the game. They change with a release: ten minutes.

import { getOrSet } from 'tidecache/next'
import { query } from '../lib/database'
import type { ReadOptions } from '../lib/reads'

const CACHED = { ttl: '10m', staleWhileRevalidate: '2m', tags: ['classes'] } as const

export interface Class {
  name: string
  tags: string[]
  description: string
}

export function getClasses(options?: ReadOptions): Promise<Class[]> {
  return getOrSet('classes', () => query<Class>('SELECT * FROM classes ORDER BY name'), { ...CACHED, ...options })
}

/** The class, or null. */
export function getClass(name: string, options?: ReadOptions): Promise<Class | null> {
  const load = async () => {
    const [found = null] = await query<Class>('SELECT * FROM classes WHERE name = $1', [name])
    return found
  }
  return getOrSet(`class:${name}`, load, { ...CACHED, ...options })
}

/** Each class, and how many builds it has: a figure that need not be of this second. */
export function getClassSizes(options?: ReadOptions): Promise<Map<string, number>> {
  const load = async () => {
    const rows = await query<{ name: string; size: number }>(
      'SELECT class AS name, count(*)::integer AS size FROM builds GROUP BY 1',
    )
    return new Map(rows.map(({ name, size }) => [name, size]))
  }
  return getOrSet('classes:sizes', load, { ...CACHED, ...options })
}
