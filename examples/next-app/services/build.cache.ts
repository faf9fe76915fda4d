// The builds players share: under which key each is cached, for how long, and what a change makes new.
//
// A list names the builds that it shows as tags while it loads, so a change of one build finds every list that shows it.
// It also names what a build could enter or leave it by: its class, its role, its title, its likes.

import type { LoadContext } from 'tidecache'
import { getOrSet, invalidate } from 'tidecache/next'
import { query } from '../lib/database'
import { type Filters, PAGE_SIZE } from '../lib/filters'
import type { ReadOptions } from '../lib/reads'

const CACHED = { ttl: '5m', staleWhileRevalidate: '1m' } as const

const keyOf = (id: number) => `build:${id}`
const byUser = (userId: number) => `user:${userId}:builds`
const likedBy = (userId: number) => `user:${userId}:liked`
const likesOf = (userId: number) => `user:${userId}:likes`

const ALL_LISTS = 'builds'
const BY_TITLE = 'builds:by-title'
const BY_ROLE = 'builds:by-role'
const ofClass = (className: string) => `builds:class:${className}`
/** Lists by likes: of one class, or, as '', of several. */
const byLikes = (className: string) => `builds:by-likes:${className}`
const shows = (id: number) => `shows:build:${id}`

export interface Build {
  id: number
  title: string
  class: string
  user_id: number
  author: string
  summary: string
  skills: string[]
  /** Might, guard, haste, wits, spirit: each 0 to 20. */
  attributes: number[]
  likes: number
  created_at: Date
  updated_at: Date
}

export interface BuildList {
  builds: Build[]
  /** How many there are on all pages. */
  total: number
}

export type BuildInput = Pick<Build, 'title' | 'class' | 'summary' | 'skills' | 'attributes'>

const BUILDS = 'SELECT b.*, u.name AS author FROM builds b JOIN users u ON u.id = b.user_id'

const FILTERED = `
  SELECT b.*, u.name AS author, count(*) OVER ()::integer AS total
  FROM builds b JOIN users u ON u.id = b.user_id JOIN classes c ON c.name = b.class
  WHERE ($1 = '' OR strpos(lower(b.title), $1) > 0) AND ($2 = '' OR b.class = $2) AND ($3 = '' OR $3 = ANY (c.tags))`

const ORDER = { newest: 'b.id DESC', liked: 'b.likes DESC, b.id DESC', title: 'b.title, b.id' }

/** Of two at once that both find no like, one adds it, and the other changes nothing. */
const TOGGLE = `
  WITH gone AS (DELETE FROM likes WHERE user_id = $1 AND build_id = $2 RETURNING 1),
    added AS (
      INSERT INTO likes SELECT $1, id FROM builds WHERE id = $2 AND NOT EXISTS (SELECT FROM gone)
      ON CONFLICT DO NOTHING RETURNING 1)
  UPDATE builds SET likes = likes + (SELECT count(*) FROM added) - (SELECT count(*) FROM gone) WHERE id = $2
  RETURNING class`

/** Tells what it was before. */
const UPDATE = `
  WITH old AS (SELECT id, title, class FROM builds WHERE id = $6 FOR UPDATE)
  UPDATE builds b SET title = $1, class = $2, summary = $3, skills = $4, attributes = $5, updated_at = now()
  FROM old WHERE b.id = old.id
  RETURNING old.title, old.class`

/** The build, or null: that there is none is cached as well. */
export function getBuild(id: number, options?: ReadOptions): Promise<Build | null> {
  const load = async () => {
    const [build = null] = await query<Build>(`${BUILDS} WHERE b.id = $1`, [id])
    return build
  }
  return getOrSet(keyOf(id), load, { ...CACHED, ...options })
}

/** What changes of builds can make such a list another one, beside those of the builds that it shows. */
function tagsOf({ search, className, tag, sort }: Filters) {
  const tags = [ALL_LISTS]
  if (className !== '') tags.push(ofClass(className))
  if (tag !== '') tags.push(BY_ROLE)
  if (sort === 'liked') tags.push(byLikes(className))
  if (search !== '' || sort === 'title') tags.push(BY_TITLE)
  return tags
}

/** One page of the builds that pass the filters. */
export function getBuilds(filters: Filters, options?: ReadOptions): Promise<BuildList> {
  const { search, className, tag, sort, page } = filters
  const load = async (ctx: LoadContext) => {
    const sql = `${FILTERED} ORDER BY ${ORDER[sort]} LIMIT ${PAGE_SIZE} OFFSET ${(page - 1) * PAGE_SIZE}`
    const rows = await query<Build & { total: number }>(sql, [search, className, tag])
    ctx.tag(...rows.map(({ id }) => shows(id)))
    return { builds: rows.map(({ total, ...build }) => build), total: rows[0]?.total ?? 0 }
  }
  const key = `builds:${sort}:${page}:${className}:${tag}:${search}`
  return getOrSet(key, load, { ...CACHED, tags: tagsOf(filters), ...options })
}

function listOf(key: string, sql: string, userId: number, options?: ReadOptions): Promise<Build[]> {
  const load = async (ctx: LoadContext) => {
    const builds = await query<Build>(sql, [userId])
    ctx.tag(...builds.map(({ id }) => shows(id)))
    return builds
  }
  return getOrSet(key, load, { ...CACHED, ...options })
}

export function getBuildsByUser(userId: number, options?: ReadOptions): Promise<Build[]> {
  return listOf(byUser(userId), `${BUILDS} WHERE b.user_id = $1 ORDER BY b.id DESC LIMIT 200`, userId, options)
}

export function getBuildsLikedByUser(userId: number, options?: ReadOptions): Promise<Build[]> {
  const sql = `${BUILDS} JOIN likes l ON l.build_id = b.id WHERE l.user_id = $1 ORDER BY b.id DESC LIMIT 200`
  return listOf(likedBy(userId), sql, userId, options)
}

/** The builds that the user likes, by id. */
export function getLikes(userId: number, options?: ReadOptions): Promise<Set<number>> {
  const load = async () => {
    const rows = await query<{ build_id: number }>('SELECT build_id FROM likes WHERE user_id = $1', [userId])
    return new Set(rows.map((row) => row.build_id))
  }
  return getOrSet(likesOf(userId), load, { ...CACHED, ...options })
}

// Once one of these has resolved, no read that starts later returns what was before. They invalidate after COMMIT.

const columnsOf = ({ title, class: className, summary, skills, attributes }: BuildInput) => [
  title,
  className,
  summary,
  skills,
  attributes,
]

/** @returns the new build's id. That there was none may be cached, too */
export async function createBuild(userId: number, input: BuildInput): Promise<number> {
  const sql = `INSERT INTO builds (title, class, summary, skills, attributes, user_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`
  const [row] = await query<{ id: number }>(sql, [...columnsOf(input), userId])
  if (row === undefined) throw new Error('Postgres returned no id')
  await invalidate({ keys: [keyOf(row.id), byUser(userId)], tag: ALL_LISTS })
  return row.id
}

/** It, the lists that show it, and those that it may have entered or left: by its title, or its class. */
export async function updateBuild(id: number, input: BuildInput) {
  const [old] = await query<Pick<Build, 'title' | 'class'>>(UPDATE, [...columnsOf(input), id])
  if (old === undefined) return
  const tags = [shows(id)]
  if (old.title !== input.title) tags.push(BY_TITLE)
  if (old.class !== input.class) tags.push(ofClass(old.class), ofClass(input.class), BY_ROLE)
  await invalidate({ key: keyOf(id), tags })
}

export async function deleteBuild(id: number) {
  const [deleted] = await query<{ user_id: number }>('DELETE FROM builds WHERE id = $1 RETURNING user_id', [id])
  if (deleted === undefined) return
  await invalidate({ keys: [keyOf(id), byUser(deleted.user_id)], tags: [ALL_LISTS, shows(id)] })
}

/**
 * The build and the user's likes are new at once. Likes are many, so lists that show it, and lists by likes, which it may
 * have entered, become stale: who reads one next may still see the old one, and has it refreshed behind the answer.
 */
export async function toggleLike(userId: number, id: number) {
  const [liked] = await query<Pick<Build, 'class'>>(TOGGLE, [userId, id])
  if (liked === undefined) return
  const lists = invalidate({ tags: [shows(id), byLikes(''), byLikes(liked.class)] }, { mode: 'stale' })
  await Promise.all([lists, invalidate({ keys: [keyOf(id), likedBy(userId), likesOf(userId)] })])
}
