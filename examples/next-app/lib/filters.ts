// What the list of builds can be asked for. Anything else in the address is ignored, so that it makes no key: sorts, classes
// and roles are those that there are. Only what is searched for is free, up to its length.

import type { Class } from '../services/class.cache'
import { cleaned } from './text'

export const SORTS = { newest: 'Newest', liked: 'Most liked', title: 'Title' } as const
export const PAGE_SIZE = 24
const LAST_PAGE = 500
const LONGEST_SEARCH = 40

export interface Filters {
  search: string
  className: string
  tag: string
  sort: keyof typeof SORTS
  page: number
}

type Parameters = Record<string, string | string[] | undefined>

const first = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value) ?? ''

const oneOf = (choices: string[], value: string) => (choices.includes(value) ? value : '')

export const namesOf = (classes: Class[]) => classes.map(({ name }) => name)
export const rolesOf = (classes: Class[]) => [...new Set(classes.flatMap(({ tags }) => tags))].sort()

const searchOf = (value: string) =>
  [...cleaned(value).toLowerCase().replace(/\s+/g, ' ')].slice(0, LONGEST_SEARCH).join('')

export function filtersOf(parameters: Parameters, classes: Class[]): Filters {
  const sort = first(parameters.sort)
  const page = Math.trunc(Number(first(parameters.page)))
  return {
    search: searchOf(first(parameters.q)),
    className: oneOf(namesOf(classes), first(parameters.class)),
    tag: oneOf(rolesOf(classes), first(parameters.tag)),
    sort: Object.hasOwn(SORTS, sort) ? (sort as Filters['sort']) : 'newest',
    page: page >= 1 && page <= LAST_PAGE ? page : 1,
  }
}

/** The address of a list: what is as usual is left out. */
export function hrefOf({ search, className, tag, sort, page }: Filters): string {
  const given = {
    q: search,
    class: className,
    tag,
    sort: sort === 'newest' ? '' : sort,
    page: page === 1 ? '' : String(page),
  }
  const parameters = new URLSearchParams(Object.entries(given).filter(([, value]) => value !== ''))
  return parameters.size === 0 ? '/' : `/?${parameters}`
}
