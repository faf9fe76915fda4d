'use strict'
// What a loader asks for its value through its context, over what its caller declared.

const { ttlMs } = require('./duration.js')
const { CacheConfigError } = require('./errors.js')
const { checkKey, TAGS_MAX } = require('./options/keys.js')
const { storedTag } = require('./path.js')

class Wishes {
  isSkipped = false
  ttl
  #policy
  #tags

  constructor(policy) {
    this.#policy = policy
    this.ttl = policy.ttl
  }

  addTags(tags) {
    if (tags.length === 0) return
    for (const tag of tags) checkKey(tag, 'ctx.tag')
    const { path } = this.#policy.scope
    const stored = tags.map((tag) => storedTag(tag, path))
    this.#tags = [...new Set([...(this.#tags ?? this.#policy.tags), ...stored])]
    if (this.#tags.length > TAGS_MAX) throw new CacheConfigError(`at most ${TAGS_MAX} tags; got ${this.#tags.length}`)
  }

  lifetimes(random) {
    return lifetimes(this.#policy, this.ttl, this.#tags ?? this.#policy.tags, random)
  }
}

/** `jitter` shortens the ttl by a random share, so that entries made together do not expire together. */
function lifetimes({ jitter, staleWhileRevalidate, staleIfError }, ttl, tags, random) {
  const shortened = jitter === 0 ? ttl : Math.max(1, Math.floor(ttl * (1 - jitter * random())))
  return { ttl: shortened, staleWhileRevalidate, staleIfError, tags }
}

/**
 * What a loader is called with.
 *
 * @param {Wishes} wishes what it asks for
 * @param {{ codec: number, data: string | Uint8Array } | undefined} previous the stale value, encoded
 */
function contextOf(wishes, key, signal, previous, codec) {
  return {
    key,
    signal,
    get previous() {
      try {
        return previous === undefined ? undefined : codec.decode(previous.codec, previous.data)
      } catch {
        // What another release or another codec wrote is no help to this loader.
        return undefined
      }
    },
    ttl(duration) {
      wishes.ttl = ttlMs(duration, 'ctx.ttl')
    },
    tag(...tags) {
      wishes.addTags(tags)
    },
    skip() {
      wishes.isSkipped = true
    },
  }
}

module.exports = { Wishes, contextOf, lifetimes }
