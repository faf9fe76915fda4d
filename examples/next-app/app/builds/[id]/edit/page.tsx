import type { Metadata } from 'next'
import { notFound, redirect } from 'next/navigation'
import { connection } from 'next/server'
import { BuildForm } from '../../../../components/build-form'
import { namesOf } from '../../../../lib/filters'
import { idOf } from '../../../../lib/input'
import { ATTRIBUTES } from '../../../../lib/look'
import { currentUser, mayChange } from '../../../../lib/session'
import { type Build, getBuild } from '../../../../services/build.cache'
import { getClasses } from '../../../../services/class.cache'
import { updateBuild } from '../../../actions/builds'

export const metadata: Metadata = { title: 'Edit a build' }

const valuesOf = ({ title, class: className, summary, skills, attributes }: Build) => ({
  title,
  class: className,
  summary,
  skills: skills.join(', '),
  ...Object.fromEntries(ATTRIBUTES.map((name, i) => [name, String(attributes[i])])),
})

export default async function Page({ params }: PageProps<'/builds/[id]/edit'>) {
  await connection()
  const id = idOf((await params).id)
  const [build, user, classes] = await Promise.all([
    id === undefined ? null : getBuild(id),
    currentUser(),
    getClasses(),
  ])
  if (build === null) notFound()
  if (user === null) redirect('/sign-in')
  if (!mayChange(user, build.user_id)) redirect(`/builds/${build.id}`)
  return (
    <div className="narrow">
      <h1>Edit “{build.title}”</h1>
      <BuildForm action={updateBuild} id={build.id} values={valuesOf(build)} classes={namesOf(classes)} />
    </div>
  )
}
