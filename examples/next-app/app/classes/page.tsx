import type { Metadata } from 'next'
import { Link } from '../../components/link'
import { connection } from 'next/server'
import { ReadsOfPage } from '../../components/reads'
import { plural } from '../../lib/format'
import { hueStyle } from '../../lib/look'
import { noted } from '../../lib/reads'
import { type Class, getClasses, getClassSizes } from '../../services/class.cache'

export const metadata: Metadata = { title: 'Classes' }

function ClassCard({ name, tags, description, size }: Class & { size: number }) {
  return (
    <li className="card class-card" style={hueStyle(name)}>
      <h2 className="card-title">
        <Link href={`/?class=${name}`}>{name}</Link>
      </h2>
      <p>{description}</p>
      <p className="card-foot">
        <span>{tags.join(' · ')}</span>
        <span>{plural(size, 'build')}</span>
      </p>
    </li>
  )
}

export default async function Page() {
  await connection()
  const [classes, sizes] = await Promise.all([getClasses(noted()), getClassSizes(noted())])
  return (
    <>
      <h1>Classes</h1>
      <p className="lead">What a build can be. Classes change with a release: they are cached for ten minutes.</p>
      <ul className="grid">
        {classes.map((item) => (
          <ClassCard key={item.name} {...item} size={sizes.get(item.name) ?? 0} />
        ))}
      </ul>
      <ReadsOfPage />
    </>
  )
}
