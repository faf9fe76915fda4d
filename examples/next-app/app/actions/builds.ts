'use server'
// What people do with builds. Each change goes to Postgres and invalidates what it makes old before the action answers:
// the page that it shows, in this replica or in another, is new.

import { refresh } from 'next/cache'
import { redirect } from 'next/navigation'
import { namesOf } from '../../lib/filters'
import { type FormState, idOf, readBuild } from '../../lib/input'
import { currentUser, mayChange } from '../../lib/session'
import * as builds from '../../services/build.cache'
import { getClasses } from '../../services/class.cache'

const SIGN_IN = { errors: { '': 'Sign in first.' } }
const NOT_YOURS = { errors: { '': 'Only its author or an administrator may change this build.' } }

async function readForm(form: FormData) {
  return readBuild(form, namesOf(await getClasses()))
}

export async function createBuild(_: FormState, form: FormData): Promise<FormState> {
  const user = await currentUser()
  if (user === null) return SIGN_IN
  const read = await readForm(form)
  if ('errors' in read) return read
  const id = await builds.createBuild(user.id, read.input)
  redirect(`/builds/${id}`)
}

/** The build that the form names, if the user who sent it may change it. */
async function changeable(form: FormData) {
  const id = idOf(form.get('id'))
  const [user, build] = await Promise.all([currentUser(), id === undefined ? null : builds.getBuild(id)])
  return build !== null && mayChange(user, build.user_id) ? build : undefined
}

export async function updateBuild(_: FormState, form: FormData): Promise<FormState> {
  const build = await changeable(form)
  if (build === undefined) return NOT_YOURS
  const read = await readForm(form)
  if ('errors' in read) return read
  await builds.updateBuild(build.id, read.input)
  redirect(`/builds/${build.id}`)
}

export async function deleteBuild(form: FormData) {
  const build = await changeable(form)
  if (build === undefined) return
  await builds.deleteBuild(build.id)
  redirect(`/users/${build.user_id}`)
}

export async function toggleLike(form: FormData) {
  const id = idOf(form.get('id'))
  const user = await currentUser()
  if (user === null) redirect('/sign-in')
  if (id === undefined) return
  await builds.toggleLike(user.id, id)
  refresh() // the page in the browser; what is cached was invalidated above
}
