import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { connection } from 'next/server'
import { BuildGrid } from '../../../components/build-card'
import { ReadsOfPage } from '../../../components/reads'
import { number, plural } from '../../../lib/format'
import { idOf } from '../../../lib/input'
import { noted } from '../../../lib/reads'
import { currentUser } from '../../../lib/session'
import { getBuildsByUser, getBuildsLikedByUser } from '../../../services/build.cache'
import { getUser } from '../../../services/user.cache'

export const metadata: Metadata = { title: 'Player' }

/** So many likes are shown at first. */
const FIRST = 12

export default async function Page({ params }: PageProps<'/users/[id]'>) {
  await connection()
  const id = idOf((await params).id)
  const user = id === undefined ? null : await getUser(id, noted())
  if (user === null) notFound()
  const [builds, liked, viewer] = await Promise.all([
    getBuildsByUser(user.id, noted()),
    getBuildsLikedByUser(user.id, noted()),
    currentUser(),
  ])
  const isSelf = viewer?.id === user.id
  return (
    <>
      <h1>{isSelf ? `${user.name}, that is you` : user.name}</h1>
      <p className="lead">
        {plural(builds.length, 'build')}, {plural(liked.length, 'like')} given.
      </p>
      <section aria-labelledby="own">
        <h2 id="own">Builds</h2>
        <BuildGrid builds={builds} nothing="None yet." />
      </section>
      <section aria-labelledby="liked">
        <h2 id="liked">Liked</h2>
        <BuildGrid builds={liked.slice(0, FIRST)} nothing="None yet." />
        {liked.length > FIRST && (
          <details className="further">
            <summary className="button button-quiet">{`${number(liked.length - FIRST)} more`}</summary>
            <BuildGrid builds={liked.slice(FIRST)} nothing="" />
          </details>
        )}
      </section>
      <ReadsOfPage />
    </>
  )
}
