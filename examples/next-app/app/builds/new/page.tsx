import type { Metadata } from 'next'
import { redirect } from 'next/navigation'
import { connection } from 'next/server'
import { BuildForm } from '../../../components/build-form'
import { namesOf } from '../../../lib/filters'
import { ATTRIBUTES } from '../../../lib/look'
import { currentUser } from '../../../lib/session'
import { getClasses } from '../../../services/class.cache'
import { createBuild } from '../../actions/builds'

export const metadata: Metadata = { title: 'New build' }

const EMPTY = {
  title: '',
  class: '',
  summary: '',
  skills: '',
  ...Object.fromEntries(ATTRIBUTES.map((name) => [name, '10'])),
}

export default async function Page() {
  await connection()
  const [user, classes] = await Promise.all([currentUser(), getClasses()])
  if (user === null) redirect('/sign-in')
  return (
    <div className="narrow">
      <h1>New build</h1>
      <BuildForm action={createBuild} values={EMPTY} classes={namesOf(classes)} />
    </div>
  )
}
