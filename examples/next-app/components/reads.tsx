import { connection } from 'next/server'
import { duration, plural } from '../lib/format'
import { type Read, readsOfRequest } from '../lib/reads'
import { currentUser } from '../lib/session'
import { Scroll } from './scroll'

const SAID = { fresh: 'hit', stale: 'stale hit, refreshed behind', miss: 'loaded', joined: 'waited for a load' }

const whereOf = ({ outcome, tier }: Read) => (tier === null ? 'Postgres' : outcome === 'joined' ? 'joined' : tier)

function summaryOf(reads: Read[]) {
  const count = (...outcomes: Read['outcome'][]) => reads.filter(({ outcome }) => outcomes.includes(outcome)).length
  const [waiting, stale] = [count('miss', 'joined'), count('stale')]
  const waited = `${waiting === 0 ? 'none' : waiting} waited for Postgres`
  return `${plural(reads.length, 'cache read')}, ${waited}${stale > 0 ? `, ${stale} refreshed behind` : ''}`
}

/** At the end of a page, once it has read: how the cache answered all of its request's reads, and the header's. */
export async function ReadsOfPage() {
  await connection()
  await currentUser() // the header reads it beside the page
  const reads = readsOfRequest()
  const isCached = reads.every(({ outcome }) => outcome === 'fresh' || outcome === 'stale')
  return (
    <details className="reads">
      <summary>
        <span className={isCached ? 'dot dot-good' : 'dot dot-load'} aria-hidden="true" />
        This page: {summaryOf(reads)}
      </summary>
      <Scroll name="Reads of this page">
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
            {reads.map((read, i) => (
              // One key may be read twice, and rows never move.
              <tr key={i}>
                <th scope="row">
                  <code>{read.key}</code>
                </th>
                <td>{whereOf(read)}</td>
                <td>{SAID[read.outcome]}</td>
                <td className="num">{duration(read.waited)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  )
}
