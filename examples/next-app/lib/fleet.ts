// All replicas of this application, as the metrics page shows them. Each takes a sample every five seconds, and tells the
// others.

import type { Metrics } from 'tidecache'
import { type Peer, peersOf, tell } from './peers'
import { shared } from './shared'
import { now, type Summary, summarize, takeSample } from './summary'

const EVERY = 5_000

export interface Replica extends Omit<Summary, 'at' | 'metrics'> {
  /** Since it was heard of, ms: 0 for who answers. */
  silence: number
  /** The machine and the process are told to administrators alone. */
  metrics: Omit<Metrics, 'process'> & { process?: Metrics['process'] }
}

/** Every time in it is of the clock of the replica that answered. */
export interface Fleet {
  /** Who answered. */
  id: string
  name: string
  now: number
  replicas: Replica[]
}

function shown({ summary, offset, heard }: Peer, isAdmin: boolean): Replica {
  const { at: _, metrics, samples, ...others } = summary
  const { process, ...figures } = metrics
  return {
    ...others,
    silence: Math.round(now() - heard),
    metrics: isAdmin ? { ...figures, process } : figures,
    samples: samples.map((sample) => ({ ...sample, at: Math.round(sample.at + offset) })),
  }
}

/** All replicas, this one as it is now. */
export async function readFleet(isAdmin: boolean): Promise<Fleet> {
  const own = await summarize()
  const all = [{ summary: own, offset: 0, heard: now() }, ...peersOf(own.id)]
  const replicas = all.map((peer) => shown(peer, isAdmin)).sort((a, b) => a.name.localeCompare(b.name))
  return { id: own.id, name: own.name, now: own.at, replicas }
}

const beat = shared('beat', () => ({ timer: undefined as NodeJS.Timeout | undefined }))

/** Begins to sample and to tell the others. Never quite at the same time as they. */
export function joinFleet() {
  if (beat.timer !== undefined) return
  const next = async () => {
    await takeSample()
      .then(tell)
      .catch((error) => console.error('Fleet:', error.message))
    beat.timer = setTimeout(next, EVERY * (0.95 + 0.1 * Math.random())).unref()
  }
  beat.timer = setTimeout(next, 0).unref()
}
