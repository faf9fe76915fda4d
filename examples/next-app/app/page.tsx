import { Link } from '../components/link'
import { redirect } from 'next/navigation'
import { connection } from 'next/server'
import { BuildGrid } from '../components/build-card'
import { Filter } from '../components/filter'
import { Pages } from '../components/pages'
import { ReadsOfPage } from '../components/reads'
import { filtersOf, hrefOf } from '../lib/filters'
import { plural } from '../lib/format'
import { noted } from '../lib/reads'
import { getBuilds } from '../services/build.cache'
import { getClasses } from '../services/class.cache'

export default async function Page({ searchParams }: PageProps<'/'>) {
  await connection()
  const classes = await getClasses(noted())
  const filters = filtersOf(await searchParams, classes)
  const { builds, total } = await getBuilds(filters, noted())
  if (builds.length === 0 && filters.page > 1) redirect(hrefOf({ ...filters, page: 1 }))
  return (
    <>
      <div className="title-row">
        <div>
          <h1>Builds</h1>
          <p className="lead">{total === 0 ? 'Ways' : plural(total, 'way')} to play, by the players of the realm.</p>
        </div>
        <Link className="button" href="/builds/new">
          New build
        </Link>
      </div>
      <Filter filters={filters} classes={classes} />
      <BuildGrid builds={builds} nothing="No build is like that. Try fewer filters." />
      <Pages filters={filters} total={total} />
      <ReadsOfPage />
    </>
  )
}
