'use server'

import { redirect } from 'next/navigation'
import { idOf } from '../../lib/input'
import { DEMO_USERS } from '../../lib/seed'
import * as session from '../../lib/session'

/** There are no passwords: only the demo's own users can be signed in as. */
export async function signIn(form: FormData) {
  const id = idOf(form.get('id'))
  const user = DEMO_USERS.find((candidate) => candidate.id === id)
  if (user === undefined) return
  await session.signIn(user.id)
  redirect('/')
}

export async function signOut() {
  await session.signOut()
  redirect('/')
}
