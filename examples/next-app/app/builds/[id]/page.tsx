import type { Metadata } from 'next'
import { Link } from '../../../components/link'
import { notFound } from 'next/navigation'
import { connection } from 'next/server'
import { cache } from 'react'
import { LikeButton } from '../../../components/like-button'
import { Delete } from '../../../components/delete'
import { Radar, Sigil } from '../../../components/sigil'
import { ReadsOfPage } from '../../../components/reads'
import { date, plural } from '../../../lib/format'
import { idOf } from '../../../lib/input'
import { ATTRIBUTES, hueStyle } from '../../../lib/look'
import { noted } from '../../../lib/reads'
import { currentUser, mayChange } from '../../../lib/session'
import { type Build, getBuild, getBuildsByUser, getLikes } from '../../../services/build.cache'
import { getClass } from '../../../services/class.cache'

type Props = PageProps<'/builds/[id]'>

/** Read once for the page and its metadata. */
const readBuild = cache((id: number) => getBuild(id, noted()))

async function buildOf({ params }: Props): Promise<Build> {
  await connection()
  const id = idOf((await params).id)
  const build = id === undefined ? null : await readBuild(id)
  return build ?? notFound()
}

export async function generateMetadata(props: Props): Promise<Metadata> {
  const build = await buildOf(props)
  return { title: build.title, description: build.summary }
}

export default async function Page(props: Props) {
  const build = await buildOf(props)
  const user = await currentUser()
  const [itsClass, others, likes] = await Promise.all([
    getClass(build.class, noted()),
    getBuildsByUser(build.user_id, noted()),
    user === null ? undefined : getLikes(user.id, noted()),
  ])
  return (
    <div style={hueStyle(build.class)}>
      <p className="crumbs">
        <Link href="/">Builds</Link> / <Link href={`/?class=${build.class}`}>{build.class}</Link>
      </p>
      <div className="build">
        <div className="build-column">
          <article className="panel build-main">
            <h1>{build.title}</h1>
            <p className="card-meta">
              <span className="badge">{build.class}</span> by{' '}
              <Link href={`/users/${build.user_id}`}>{build.author}</Link>, changed{' '}
              <time dateTime={build.updated_at.toISOString()}>{date(build.updated_at)}</time>
            </p>
            <p className="lead">{build.summary}</p>
            <h2>Skills</h2>
            <ul className="skills">
              {build.skills.map((skill) => (
                <li key={skill}>{skill}</li>
              ))}
            </ul>
            <div className="actions">
              <LikeButton id={build.id} likes={build.likes} isLiked={likes?.has(build.id) ?? false} />
              {mayChange(user, build.user_id) && (
                <>
                  <Link className="button button-quiet" href={`/builds/${build.id}/edit`}>
                    Edit
                  </Link>
                  <Delete id={build.id} title={build.title} />
                </>
              )}
            </div>
          </article>
          <More author={build.author} builds={others.filter(({ id }) => id !== build.id)} />
        </div>
        <div className="build-column">
          <section className="panel" aria-labelledby="attributes">
            <h2 id="attributes">Attributes</h2>
            <Radar attributes={build.attributes} />
            <dl className="attributes">
              {ATTRIBUTES.map((name, i) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{build.attributes[i]}</dd>
                </div>
              ))}
            </dl>
          </section>
          <section className="panel" aria-labelledby="class">
            <h2 id="class">{build.class}</h2>
            <p>{itsClass?.description}</p>
            <ul className="tags">
              {itsClass?.tags.map((tag) => (
                <li key={tag}>
                  <Link href={`/?tag=${tag}`}>{tag}</Link>
                </li>
              ))}
            </ul>
          </section>
        </div>
      </div>
      <ReadsOfPage />
    </div>
  )
}

function More({ author, builds }: { author: string; builds: Build[] }) {
  if (builds.length === 0) return null
  return (
    <section className="panel build-more" aria-labelledby="more">
      <h2 id="more">More by {author}</h2>
      <ul className="more">
        {builds.slice(0, 6).map((build) => (
          <li key={build.id} style={hueStyle(build.class)}>
            <Sigil attributes={build.attributes} />
            <div>
              <Link href={`/builds/${build.id}`}>{build.title}</Link>
              <span className="quiet">
                {build.class}, {plural(build.likes, 'like')}
              </span>
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}
