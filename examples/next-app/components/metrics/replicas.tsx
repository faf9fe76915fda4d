import type { Fleet, Summary } from '../../lib/fleet'
import { duration, number } from '../../lib/format'
import type { Sum } from '../../lib/series'

/** In words: how this replica hears of the others' changes. */
function coherenceOf({ metrics: { redis } }: Summary): [isGood: boolean, text: string] {
  if (!redis.enabled) return [true, 'memory only']
  if (!redis.health.connected) return [false, 'Redis is not connected']
  if (redis.breaker !== 'closed') return [false, 'Redis does not answer']
  return [true, redis.coherence === 'tracking' ? 'pushed by Redis' : 'checked every second']
}

const roundTrip = ({ metrics: { redis } }: Summary) =>
  redis.health.latency === null ? '–' : duration(redis.health.latency)

function Row({ summary, isSelf }: { summary: Summary; isSelf: boolean }) {
  const { metrics } = summary
  const [isGood, text] = coherenceOf(summary)
  return (
    <tr>
      <th scope="row">
        {summary.name} {isSelf && <span className="badge">answers you</span>}
      </th>
      <td>
        <span className={isGood ? 'dot dot-good' : 'dot dot-load'} aria-hidden="true" />
        {text}
      </td>
      <td className="num">{`${metrics.hitRate.toFixed(1)} %`}</td>
      <td className="num">{number(metrics.memory.hits)}</td>
      <td className="num">{number(metrics.redis.hits)}</td>
      <td className="num">{number(metrics.loads.started)}</td>
      <td className="num">{number(summary.queries)}</td>
      <td className="num">{`${number(metrics.invalidations.applied)} / ${number(metrics.invalidations.received)}`}</td>
      <td className="num">{roundTrip(summary)}</td>
    </tr>
  )
}

const COLUMNS = ['Hit rate', 'Memory', 'Redis', 'Loads', 'Queries', 'Invalidated / heard', 'Round trip']

export function Replicas({ fleet, sum }: { fleet: Fleet; sum: Sum }) {
  return (
    <section className="panel replicas" aria-labelledby="replicas">
      <h2 id="replicas">Replicas</h2>
      {/* It scrolls sideways on a phone: with a keyboard, too. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must take the focus */}
      <section className="scroll" tabIndex={0} aria-label="Figures of each replica">
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
            {fleet.replicas.map((summary) => (
              <Row key={summary.metrics.process.id} summary={summary} isSelf={summary.name === fleet.name} />
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
      </section>
    </section>
  )
}
