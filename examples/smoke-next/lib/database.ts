// Stands in for a database: an array, and a count of the queries that reached it.

export interface Build {
  id: number
  title: string
  className: string
  likes: number
  updatedAt: Date
}

interface Database {
  builds: Build[]
  queries: number
}

const TITLES: [title: string, className: string][] = [
  ['Frostbound Bulwark', 'Warden'],
  ['Ashen Duelist', 'Blademaster'],
  ['Whispering Thorns', 'Druid'],
  ['Stormcaller of the Reach', 'Elementalist'],
  ['Gravetide Summoner', 'Necromancer'],
]

function seed(): Database {
  const updatedAt = new Date('2026-01-05T12:00:00Z')
  const builds = TITLES.map(([title, className], i) => ({ id: i + 1, title, className, likes: 10 * i, updatedAt }))
  return { builds, queries: 0 }
}

// Next.js evaluates modules once for pages and once for route handlers; the data must exist once.
const shared = globalThis as typeof globalThis & { database?: Database }
shared.database ??= seed()
const database = shared.database

const roundTrip = () => new Promise((resolve) => setTimeout(resolve, 20))

/** How many queries were made since the start. */
export const queryCount = () => database.queries

export async function selectBuilds(): Promise<Build[]> {
  database.queries++
  await roundTrip()
  return structuredClone(database.builds)
}

/** @returns false if there is no such build */
export async function incrementLikes(id: number): Promise<boolean> {
  database.queries++
  await roundTrip()
  const build = database.builds.find((candidate) => candidate.id === id)
  if (build === undefined) return false
  build.likes++
  build.updatedAt = new Date()
  return true
}
