// The other replicas: each writes its summary to Redis under a key of its own, and adds itself to a list of them.
//
// Two that write the list at once may lose one of themselves; that one finds itself missing, and adds itself again. Clocks
// of different machines are never compared: a summary is as old as the time since it was first seen here.

import { createCache } from 'tidecache'
import { shared } from './shared'
import { now, type Summary } from './summary'

/** In Redis: two summaries may be late. */
const LIFE = '16s'
/** How long a silent replica is still shown, ms. */
const MEMORY = 60_000
/** Redis is read at most so often, however many people look, ms. */
const READ_EVERY = 1_000
/** A clock that is off by more than it was has stood still: a machine that slept. */
const STOOD_STILL = 20_000

export interface Peer {
  summary: Summary
  /** When it was last heard of, and what its clock is behind ours: both ms of our clock. */
  heard: number
  offset: number
}

/** A cache of its own: what it does counts for nothing in the figures that it tells of. */
const open = () => {
  const namespace = `${process.env.TIDECACHE_NAMESPACE || 'next-app'}-fleet`.slice(-64)
  return createCache({ namespace, memory: false, logger: { warn() {} } })
}
const summaries = () => shared('summaries', open)

const LIST = 'replicas'
const keyOf = (id: string) => `replica:${id}`
const hasRedis = () => Boolean(process.env.REDIS_URL)

const state = shared('peers', () => ({
  peers: new Map<string, Peer>(),
  readAt: Number.NEGATIVE_INFINITY,
}))

/** The offset is the least that was seen: a summary arrives late, never early. */
function hear(summary: Summary) {
  const before = state.peers.get(summary.id)
  if (before?.summary.at === summary.at) return
  const seen = now() - summary.at
  const isSteady = before !== undefined && seen - before.offset < STOOD_STILL
  const offset = isSteady ? Math.min(seen, before.offset) : seen
  state.peers.set(summary.id, { summary, heard: now(), offset })
}

/** Reads all summaries. @returns the list, as it lies in Redis */
async function listen(ownId: string): Promise<string[]> {
  state.readAt = now()
  const listed = (await summaries().get<string[]>(LIST)) ?? []
  const ids = new Set([...listed, ...state.peers.keys()])
  ids.delete(ownId)
  const found = await Promise.all([...ids].map((id) => summaries().get<Summary>(keyOf(id))))
  for (const summary of found) if (summary !== undefined) hear(summary)
  for (const [id, { heard }] of state.peers) if (now() - heard > MEMORY) state.peers.delete(id)
  return listed
}

/** Tells the others, and keeps the list. */
export async function tell(own: Summary) {
  if (!hasRedis()) return
  await summaries().set(keyOf(own.id), own, { ttl: LIFE, staleWhileRevalidate: 0 })
  const listed = new Set(await listen(own.id))
  const known = [own.id, ...state.peers.keys()]
  const isRight = listed.size === known.length && known.every((id) => listed.has(id))
  if (!isRight) await summaries().set(LIST, known, { ttl: '1d', staleWhileRevalidate: 0 })
}

/** The others as they were last heard of. Nobody waits for Redis here: what it says now is seen by who asks next. */
export function peersOf(ownId: string): Peer[] {
  if (hasRedis() && now() - state.readAt > READ_EVERY) {
    listen(ownId).catch((error) => console.error('Fleet:', error.message))
  }
  return [...state.peers.values()]
}
