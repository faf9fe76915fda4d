import type { Replica } from '../../lib/fleet'
import { duration } from '../../lib/format'

/** From 1 µs to 1 s, each decade as wide as the next. */
const DECADES = 6
const LEAST = 0.001

const share = (ms: number) => Math.min(1, Math.max(0, Math.log10(Math.max(ms, LEAST) / LEAST) / DECADES)) * 100

const TIERS = [
  ['memory', 'Memory hit'],
  ['redis', 'Redis'],
  ['load', 'Load'],
] as const

const COLOURS = { memory: 'var(--memory)', redis: 'var(--redis)', load: 'var(--miss)' }

/** The slowest replica's: percentiles of several cannot be added. */
function worst(replicas: Replica[], tier: (typeof TIERS)[number][0]) {
  const of = (name: 'p50' | 'p99') => Math.max(0, ...replicas.map(({ metrics }) => metrics.latency[tier][name]))
  return { p50: of('p50'), p99: of('p99') }
}

const spanOf = (tier: keyof typeof COLOURS, p50: number, p99: number) => ({
  left: `${Math.min(97, share(p50))}%`,
  right: `${100 - share(p99)}%`,
  background: COLOURS[tier],
})

export function Latency({ replicas }: { replicas: Replica[] }) {
  return (
    <figure className="panel chart" aria-labelledby="latency">
      <figcaption id="latency">Latency, p50 to p99, in the slowest replica</figcaption>
      <ul className="latency">
        {TIERS.map(([tier, name]) => {
          const { p50, p99 } = worst(replicas, tier)
          return (
            <li key={tier}>
              <span>{name}</span>
              <span className="num">{p99 > 0 ? `${duration(p50)} – ${duration(p99)}` : 'none yet'}</span>
              <div className="rail">{p99 > 0 && <span className="span" style={spanOf(tier, p50, p99)} />}</div>
            </li>
          )
        })}
      </ul>
      <div className="decades" aria-hidden="true">
        {['1 µs', '1 ms', '1 s'].map((mark) => (
          <span key={mark}>{mark}</span>
        ))}
      </div>
    </figure>
  )
}
