import type { Fleet, Replica } from '../../lib/fleet'
import { duration, number } from '../../lib/format'
import type { Sum } from '../../lib/series'
import { Scroll } from '../scroll'

/** Two summaries of a replica are late. */
const LATE = 12_000

/** Whether this replica has its Redis, or needs none. */
export function isLinked({ metrics: { redis } }: Replica): boolean {
  return !redis.enabled || (redis.health.connected && redis.breaker === 'closed')
}

/** In words: how this replica hears of the others' changes. */
function coherenceOf(replica: Replica): [isGood: boolean, text: string] {
  const { redis } = replica.metrics
  if (replica.silence > LATE) return [false, `silent for ${Math.round(replica.silence / 1_000)} s`]
  if (!redis.enabled) return [true, 'memory only']
  if (!isLinked(replica)) return [false, 'without Redis']
  return [true, redis.coherence === 'tracking' ? 'pushed by Redis' : 'checked every second']
}

function roundTrip(replica: Replica) {
  const { health } = replica.metrics.redis
  const isKnown = replica.silence <= LATE && isLinked(replica) && health.latency !== null
  return isKnown ? duration(Number(health.latency)) : '–'
}

/** The machine is told to administrators alone. */
function Name({ replica, isSelf }: { replica: Replica; isSelf: boolean }) {
  const { process } = replica.metrics
  return (
    <th scope="row">
      {replica.name} {isSelf && <span className="badge">you</span>}
      {process && <span className="quiet machine">{`${process.host}, process ${process.pid}`}</span>}
    </th>
  )
}

function Row({ replica, isSelf }: { replica: Replica; isSelf: boolean }) {
  const { metrics } = replica
  const [isGood, text] = coherenceOf(replica)
  return (
    <tr>
      <Name replica={replica} isSelf={isSelf} />
      <td>
        <span className={isGood ? 'dot dot-good' : 'dot dot-load'} aria-hidden="true" />
        {text}
      </td>
      <td className="num">{`${metrics.hitRate.toFixed(1)} %`}</td>
      <td className="num">{number(metrics.memory.hits)}</td>
      <td className="num">{number(metrics.redis.hits)}</td>
      <td className="num">{number(metrics.loads.started)}</td>
      <td className="num">{number(replica.queries)}</td>
      <td className="num">{`${number(metrics.invalidations.applied)} / ${number(metrics.invalidations.received)}`}</td>
      <td className="num">{roundTrip(replica)}</td>
    </tr>
  )
}

const COLUMNS = ['Hit rate', 'Memory', 'Redis', 'Loads', 'Queries', 'Invalidated / heard', 'Round trip']

export function Replicas({ fleet, sum }: { fleet: Fleet; sum: Sum }) {
  return (
    <section className="panel replicas" aria-labelledby="replicas">
      <h2 id="replicas">Replicas</h2>
      <Scroll name="Figures of each replica">
        <table>
          <thead>
            <tr>
              <th scope="col">Replica</th>
              <th scope="col">Coherence</th>
              {COLUMNS.map((name) => (
                <th key={name} scope="col" className="num">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {fleet.replicas.map((replica) => (
              <Row key={replica.id} replica={replica} isSelf={replica.id === fleet.id} />
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">All</th>
              <td />
              <td className="num">{`${sum.hitRate.toFixed(1)} %`}</td>
              {[sum.memory, sum.redis, sum.loads, sum.queries].map((value, i) => (
                <td key={COLUMNS[i + 1]} className="num">
                  {number(value)}
                </td>
              ))}
              <td className="num">{`${number(sum.applied)} / ${number(sum.received)}`}</td>
              <td />
            </tr>
          </tfoot>
        </table>
      </Scroll>
    </section>
  )
}
