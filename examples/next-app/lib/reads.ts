// What a page tells about itself: each read of the cache that its request made, how it was answered, and how long it took.

import { cache } from 'react'
import type { EntryOptions, Result } from 'tidecache'
import { recordWait } from './waits'

export type ReadOptions = Pick<EntryOptions, 'onResult'>
export type Read = { key: string } & Result

/** Of the request that is being answered: its page, its layout and its metadata share them. */
export const readsOfRequest = cache((): Read[] => [])

/**
 * Goes with each call of a service, so that the read is listed:
 *
 *     const build = await getBuild(7, noted())
 */
export function noted(): ReadOptions {
  const reads = readsOfRequest()
  return {
    onResult: (result, key) => {
      reads.push({ key, ...result })
      if (result.outcome === 'fresh' || result.outcome === 'stale') recordWait(result.waited)
    },
  }
}
