'use client'

import { useEffect, useState } from 'react'
import type { Fleet } from '../../lib/fleet'

const EVERY = 2_000

async function ask(signal: AbortSignal): Promise<Fleet> {
  const response = await fetch('/metrics/live', { signal, cache: 'no-store' })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return response.json()
}

/** The replicas' figures, asked for every two seconds while somebody looks. */
export function useFleet(first: Fleet, isOn: boolean) {
  const [state, setState] = useState({ fleet: first, isLost: false })
  useEffect(() => {
    if (!isOn) return
    const ended = new AbortController()
    const update = () => {
      if (document.hidden) return
      ask(ended.signal).then(
        (fleet) => setState({ fleet, isLost: false }),
        () => !ended.signal.aborted && setState(({ fleet }) => ({ fleet, isLost: true })),
      )
    }
    const timer = setInterval(update, EVERY)
    return () => {
      clearInterval(timer)
      ended.abort()
    }
  }, [isOn])
  return state
}
