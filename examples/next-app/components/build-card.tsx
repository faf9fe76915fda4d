import { Link } from './link'
import { date, number } from '../lib/format'
import { hueStyle } from '../lib/look'
import type { Build } from '../services/build.cache'
import { Heart } from './icons'
import { Sigil } from './sigil'

export function BuildCard({ build }: { build: Build }) {
  return (
    <li className="card" style={hueStyle(build.class)}>
      <Sigil attributes={build.attributes} />
      <div className="card-text">
        <h2 className="card-title">
          <Link href={`/builds/${build.id}`}>{build.title}</Link>
        </h2>
        <p className="card-meta">
          <span className="badge">{build.class}</span> by {build.author}
        </p>
        <p className="card-summary">{build.summary}</p>
      </div>
      <p className="card-foot">
        <span className="likes">
          <Heart /> {number(build.likes)} <span className="hidden">{build.likes === 1 ? 'like' : 'likes'}</span>
        </span>
        <time dateTime={build.updated_at.toISOString()}>{date(build.updated_at)}</time>
      </p>
    </li>
  )
}

export function BuildGrid({ builds, nothing }: { builds: Build[]; nothing: string }) {
  if (builds.length === 0) return <p className="empty">{nothing}</p>
  return (
    <ul className="grid">
      {builds.map((build) => (
        <BuildCard key={build.id} build={build} />
      ))}
    </ul>
  )
}
