import type { Replica } from '../../lib/fleet'
import { duration, number, plural } from '../../lib/format'
import type { Sum } from '../../lib/series'
import { type Buckets, FEW_READS, percentileOf } from '../../lib/percentile'

interface TileProps {
  name: string
  value: string
  note: string
}

function Tile({ name, value, note }: TileProps) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        <span className="quiet">{note}</span>
      </dd>
    </div>
  )
}

/** As pages see it, not as the cache does. */
function WaitTile({ buckets }: { buckets: Buckets }) {
  const reads = buckets.reduce((sum, [, count]) => sum + count, 0)
  const [p50 = 0, p99 = 0] = [percentileOf(buckets, 0.5), percentileOf(buckets, 0.99)]
  const isTold = reads >= FEW_READS
  const note = isTold ? `p50 ${duration(p50)}, from call to value` : `told of ${FEW_READS} hits on`
  return <Tile name="A hit, p99" value={isTold ? duration(p99) : '–'} note={note} />
}

/** A database without a cache would have had a query for each read. */
function saved({ hits, misses, loads }: Sum) {
  const reads = hits + misses
  return reads === 0 ? 'nothing read yet' : `${((100 * (reads - loads)) / reads).toFixed(1)} % of reads asked for none`
}

export function Tiles({ sum, replicas }: { sum: Sum; replicas: Replica[] }) {
  const { hits, misses, stale, memory, redis } = sum
  return (
    <dl className="tiles">
      <Tile name="Hit rate" value={`${sum.hitRate.toFixed(1)} %`} note={`of ${plural(hits + misses, 'read')}`} />
      <Tile name="Hits in memory" value={number(memory)} note={`${number(redis)} in Redis, ${number(stale)} stale`} />
      <Tile
        name="Loads"
        value={number(sum.loads)}
        note={`${number(sum.failed)} failed; ${number(misses)} callers waited`}
      />
      <Tile name="SQL queries" value={number(sum.queries)} note={saved(sum)} />
      <WaitTile buckets={replicas.flatMap((replica) => replica.waits)} />
      <Tile
        name="Invalidations"
        value={number(sum.applied)}
        note={`${number(sum.received)} received, ${number(sum.queued)} queued`}
      />
    </dl>
  )
}
