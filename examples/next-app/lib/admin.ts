import { isSame } from './same'

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
