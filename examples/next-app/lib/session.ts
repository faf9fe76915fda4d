// Who is signed in: a cookie with the user's id, signed. There are no passwords in this demonstration.

import { createHmac, randomBytes } from 'node:crypto'
import { cookies, headers } from 'next/headers'
import { cache } from 'react'
import { getUser, type User } from '../services/user.cache'
import { noted } from './reads'
import { isSame } from './same'
import { shared } from './shared'

const COOKIE = 'session'
const A_WEEK = 7 * 24 * 60 * 60

/** Replicas need the same SESSION_SECRET. Without one, sessions end with the process. */
const secret = shared('secret', () => process.env.SESSION_SECRET || randomBytes(32).toString('hex'))

const signatureOf = (text: string) => createHmac('sha256', secret).update(text).digest('base64url')

/** Next.js sets the header, or hands on what a proxy in front of it says of the browser's connection. */
async function isHttps() {
  const all = await headers()
  return all.get('x-forwarded-proto')?.split(',')[0]?.trim() === 'https'
}

export async function signIn(id: number) {
  const text = `${id}.${Date.now() + A_WEEK * 1_000}`
  // Over plain http, as on localhost, browsers would drop a cookie that is `Secure`.
  const options = { httpOnly: true, secure: await isHttps(), sameSite: 'lax', maxAge: A_WEEK, path: '/' } as const
  const jar = await cookies()
  jar.set(COOKIE, `${text}.${signatureOf(text)}`, options)
}

export async function signOut() {
  const jar = await cookies()
  jar.delete(COOKIE)
}

/** The user's id, if the cookie is ours and not too old. */
function readCookie(value: string): number | undefined {
  const [id = '', until = '', signature = ''] = value.split('.')
  const isOurs = isSame(signature, signatureOf(`${id}.${until}`))
  return isOurs && Number(until) > Date.now() ? Number(id) : undefined
}

/** The user who is signed in, or null. One read per request. */
export const currentUser = cache(async (): Promise<User | null> => {
  const jar = await cookies()
  const id = readCookie(jar.get(COOKIE)?.value ?? '')
  return id === undefined ? null : getUser(id, noted())
})

/** Whether the user may change or delete what this author made. */
export const mayChange = (user: User | null, authorId: number) =>
  user !== null && (user.isAdmin || user.id === authorId)
