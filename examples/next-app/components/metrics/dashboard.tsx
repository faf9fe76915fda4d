'use client'

import { useState } from 'react'
import type { Fleet, Replica } from '../../lib/fleet'
import { number } from '../../lib/format'
import { seriesOf, sumOf } from '../../lib/series'
import { HitRateChart, QueriesChart, ReadsChart } from './charts'
import { Latency } from './latency'
import { isLinked, Replicas } from './replicas'
import { Tiles } from './tiles'
import { useFleet } from './use-fleet'

function Live({ isOn, isLost, toggle }: { isOn: boolean; isLost: boolean; toggle: () => void }) {
  const said = isLost ? 'No answer: trying again' : isOn ? 'Live, every two seconds' : 'Paused'
  return (
    <div className="live">
      <span className={isOn && !isLost ? 'dot dot-good dot-live' : 'dot dot-load'} aria-hidden="true" />
      <span role="status">{said}</span>
      <button className="button button-small button-quiet" type="button" onClick={toggle}>
        {isOn ? 'Pause' : 'Go on'}
      </button>
    </div>
  )
}

function Outage({ replicas }: { replicas: Replica[] }) {
  const cut = replicas.filter((replica) => !isLinked(replica)).map(({ name }) => name)
  if (cut.length === 0) return null
  return (
    <p className="notice" role="status">
      <strong>{`Redis does not answer ${cut.join(', ')}.`}</strong> Pages are answered from memory and from Postgres.
      Changes are kept, and reach the other replicas when it is back.
    </p>
  )
}

export function Dashboard({ first }: { first: Fleet }) {
  const [isOn, setOn] = useState(true)
  const { fleet, isLost } = useFleet(first, isOn)
  const { replicas } = fleet
  const points = seriesOf(replicas, fleet.now)
  const sum = sumOf(replicas)
  return (
    <>
      <Live isOn={isOn} isLost={isLost} toggle={() => setOn(!isOn)} />
      <Outage replicas={replicas} />
      <Tiles sum={sum} replicas={replicas} />
      <div className="charts">
        <ReadsChart points={points} />
        <HitRateChart points={points} />
        <QueriesChart points={points} />
        <Latency replicas={replicas} />
      </div>
      <Replicas fleet={fleet} sum={sum} />
      <p className="quiet">
        {`Counted since each replica started: ${number(sum.entries)} entries in memory, ${megabytes(sum.bytes)}.`} The
        same figures, for machines: <code>GET /api/v1/cache</code> with the administrator’s token.
      </p>
    </>
  )
}

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
