// Visitors for those who have none: reads of builds and lists, the well-known ones more often, for half a minute.

import { getBuild, getBuilds } from '../services/build.cache'
import { getClass } from '../services/class.cache'
import { filtersOf } from './filters'
import { noted } from './reads'
import { BUILDS } from './seed'
import { shared } from './shared'

const SECONDS = 30
const EVERY = 100
const READS = 12

const state = shared('traffic', () => ({ timer: undefined as NodeJS.Timeout | undefined }))

/** A build's id: of one that is n-th in rank it is asked about 1/n times as often. */
const popular = () => Math.max(1, Math.floor(BUILDS ** Math.random()))

async function visit() {
  const build = await getBuild(popular(), noted())
  if (build !== null) await getClass(build.class, noted())
  if (Math.random() < 0.3) await getBuilds(filtersOf({ page: String(Math.floor(20 ** Math.random())) }, []), noted())
}

export function simulateVisitors() {
  if (state.timer !== undefined) return
  const end = Date.now() + SECONDS * 1_000
  state.timer = setInterval(() => {
    const visits = Array.from({ length: READS }, visit)
    Promise.all(visits).catch((error) => console.error('Visitors:', error.message))
    if (Date.now() < end) return
    clearInterval(state.timer)
    state.timer = undefined
  }, EVERY)
  state.timer.unref()
}
