'use server'

import { refresh } from 'next/cache'
import { likeBuild } from '../lib/build.cache'

export async function like(form: FormData) {
  const id = Number(form.get('id'))
  if (!Number.isSafeInteger(id)) return
  await likeBuild(id)
  refresh() // the page in the browser; what is cached was invalidated above
}
