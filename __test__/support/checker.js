'use strict'
// Judges histories of reads and writes against a source of truth whose versions only rise.
//
// A write is [key, version, resolved, receipt]: the version was committed before its invalidation was asked for, and
// `resolved` is when that promise had resolved. A read is [key, started, version]. All times are of one clock.
//
//   broken   the reader's own process had been told that a newer version's invalidation is done before the read began
//   stale    another process had (receipt applied); its age is the time since the first such newer version

const EVERYBODY_KNOWS = new Set(['applied', undefined])

/** Versions of one key in rising order, each with the earliest time any version from it on was resolved. */
class Timeline {
  #versions
  #earliest

  constructor(writes) {
    const sorted = [...writes].sort((a, b) => a.version - b.version)
    this.#versions = sorted.map((write) => write.version)
    this.#earliest = new Array(sorted.length)
    let earliest = Infinity
    for (let i = sorted.length - 1; i >= 0; i--) {
      earliest = Math.min(earliest, sorted[i].resolved)
      this.#earliest[i] = earliest
    }
  }

  /** When the first version newer than this one was resolved; Infinity if none was. */
  outdatedAt(version) {
    let low = 0
    let high = this.#versions.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#versions[middle] > version) high = middle
      else low = middle + 1
    }
    return this.#earliest[low] ?? Infinity
  }

  /** The newest version resolved by then. */
  newestAt(time) {
    for (let i = this.#versions.length - 1; i >= 0; i--) if (this.#earliest[i] <= time) return this.#versions[i]
    return 0
  }
}

const NOTHING = new Timeline([])

function timelines(writes) {
  const byKey = new Map()
  for (const write of writes) {
    if (!byKey.has(write.key)) byKey.set(write.key, [])
    byKey.get(write.key).push(write)
  }
  return new Map([...byKey].map(([key, list]) => [key, new Timeline(list)]))
}

class Checker {
  #histories = []

  add(process, { writes, reads }) {
    const named = writes.map(([key, version, resolved, receipt]) => ({ process, key, version, resolved, receipt }))
    this.#histories.push({ process, writes: named, reads })
  }

  verdict() {
    const all = this.#histories.flatMap(({ writes }) => writes)
    const verdict = { reads: 0, writes: all.length, broken: [], staleAges: [] }
    for (const { process, writes, reads } of this.#histories) {
      const own = timelines(writes)
      const others = timelines(all.filter((write) => write.process !== process && EVERYBODY_KNOWS.has(write.receipt)))
      for (const [key, start, version] of reads) {
        verdict.reads++
        const ownTimeline = own.get(key) ?? NOTHING
        if (ownTimeline.outdatedAt(version) <= start) {
          verdict.broken.push({ process, key, start, read: version, written: ownTimeline.newestAt(start) })
          continue
        }
        const outdated = (others.get(key) ?? NOTHING).outdatedAt(version)
        if (outdated < start) verdict.staleAges.push(start - outdated)
      }
    }
    return verdict
  }
}

module.exports = { Checker }
