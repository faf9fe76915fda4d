import { connection } from 'next/server'
import { duration, plural } from '../lib/format'
import type { Read } from '../lib/reads'

const SAID = { fresh: 'hit', stale: 'stale hit, refreshed behind', miss: 'loaded', joined: 'waited for a load' }

const whereOf = ({ outcome, tier }: Read) => (tier === null ? 'Postgres' : outcome === 'joined' ? 'joined' : tier)

function summaryOf(reads: Read[]) {
  const loads = reads.filter(({ outcome }) => outcome === 'miss').length
  const queries = loads === 0 ? 'no database query' : plural(loads, 'database query', 'database queries')
  return `${plural(reads.length, 'cache read')}, ${queries}`
}

/** At the end of a page: how the cache answered its reads. */
export async function ReadsOfPage({ reads }: { reads: Read[] }) {
  await connection()
  const isCached = reads.every(({ outcome }) => outcome === 'fresh' || outcome === 'stale')
  return (
    <details className="reads">
      <summary>
        <span className={isCached ? 'dot dot-good' : 'dot dot-load'} aria-hidden="true" />
        This page: {summaryOf(reads)}
      </summary>
      <div className="scroll">
        <table>
          <caption className="hidden">How the cache answered the reads of this page</caption>
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">From</th>
              <th scope="col">Outcome</th>
              <th scope="col" className="num">
                Took
              </th>
            </tr>
          </thead>
          <tbody>
            {reads.map((read) => (
              <tr key={read.key}>
                <th scope="row">
                  <code>{read.key}</code>
                </th>
                <td>{whereOf(read)}</td>
                <td>{SAID[read.outcome]}</td>
                <td className="num">{duration(read.ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}
