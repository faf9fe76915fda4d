// What a page tells about itself: each read of the cache that it made, how it was answered, and how long it took.

import type { EntryOptions, Result } from 'tidecache'
import { recordWait } from './waits'

export type ReadOptions = Pick<EntryOptions, 'onResult'>
export type Read = { key: string; ms: number } & Pick<Result, 'outcome' | 'tier' | 'age'>

/**
 * The reads of one request. `reads.next()` goes with each call of a service:
 *
 *     const build = await getBuild(7, reads.next())
 */
export class Reads {
  readonly all: Read[] = []

  next(): ReadOptions {
    const began = performance.now()
    return {
      onResult: ({ outcome, tier, age }, key) => {
        const ms = performance.now() - began
        this.all.push({ key, outcome, tier, age, ms })
        if (outcome === 'fresh' || outcome === 'stale') recordWait(ms)
      },
    }
  }
}
