import { createHash, timingSafeEqual } from 'node:crypto'

const sha256 = (text: string) => createHash('sha256').update(text).digest()

/** Takes the same time wherever the two differ, and whatever their lengths. */
const isSame = (a: string, b: string) => timingSafeEqual(sha256(a), sha256(b))

/**
 * The status that refuses a request without the administrator's token (`Authorization: Bearer …`), or undefined.
 * Without ADMIN_TOKEN in the environment nobody is let in.
 */
export function refusal(request: Request): 401 | 403 | 503 | undefined {
  const expected = process.env.ADMIN_TOKEN
  if (expected === undefined || expected === '') return 503

  const given = request.headers.get('authorization')?.match(/^Bearer +(\S+)$/i)?.[1]
  if (given === undefined) return 401
  return isSame(given, expected) ? undefined : 403
}
