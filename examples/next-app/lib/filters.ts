// What the list of builds can be asked for. Anything else in the address is ignored, so that it makes no key.

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

/** A word of letters, or ''. */
const word = (value: string) => (/^[A-Za-z]{1,20}$/.test(value) ? value : '')

export function filtersOf(parameters: Parameters): Filters {
  const sort = first(parameters.sort)
  const page = Math.trunc(Number(first(parameters.page)))
  return {
    search: first(parameters.q)
      .normalize()
      .trim()
      .toLowerCase()
      .replace(/\s+/g, ' ')
      .slice(0, LONGEST_SEARCH)
      .toWellFormed(),
    className: word(first(parameters.class)),
    tag: word(first(parameters.tag)),
    sort: sort in SORTS ? (sort as Filters['sort']) : 'newest',
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
