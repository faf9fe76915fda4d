import { getOrSet, invalidate } from 'tidecache'
import { incrementLikes, selectBuilds } from './database'

const BUILDS = 'builds'

export function getAllBuilds() {
  return getOrSet('builds:all', selectBuilds, { ttl: '5m', tags: [BUILDS] })
}

/** Resolves once no later read, in any process, returns the builds as they were. */
export async function likeBuild(id: number) {
  if (await incrementLikes(id)) await invalidate({ tag: BUILDS })
}
