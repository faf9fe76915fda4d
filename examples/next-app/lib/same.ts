import { createHash, timingSafeEqual } from 'node:crypto'

const sha256 = (text: string) => createHash('sha256').update(text).digest()

/** Takes the same time wherever the two differ, and whatever their lengths. */
export const isSame = (a: string, b: string) => timingSafeEqual(sha256(a), sha256(b))
