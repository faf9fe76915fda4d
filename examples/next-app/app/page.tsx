import { Link } from '../components/link'
import { connection } from 'next/server'
import { BuildGrid } from '../components/build-card'
import { Filter } from '../components/filter'
import { Pages } from '../components/pages'
import { ReadsOfPage } from '../components/reads'
import { filtersOf } from '../lib/filters'
import { plural } from '../lib/format'
import { Reads } from '../lib/reads'
import { getBuilds } from '../services/build.cache'
import { getClasses } from '../services/class.cache'

export default async function Page({ searchParams }: PageProps<'/'>) {
  await connection()
  const reads = new Reads()
  const filters = filtersOf(await searchParams)
  const [{ builds, total }, classes] = await Promise.all([getBuilds(filters, reads.next()), getClasses(reads.next())])
  return (
    <>
      <div className="title-row">
        <div>
          <h1>Builds</h1>
          <p className="lead">{plural(total, 'way', 'ways')} to play, by the players of the realm.</p>
        </div>
        <Link className="button" href="/builds/new">
          New build
        </Link>
      </div>
      <Filter filters={filters} classes={classes} />
      <BuildGrid builds={builds} nothing="No build is like that. Try fewer filters." />
      <Pages filters={filters} total={total} />
      <ReadsOfPage reads={reads.all} />
    </>
  )
}
