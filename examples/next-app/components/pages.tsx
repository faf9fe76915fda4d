import { Link } from './link'
import { type Filters, hrefOf, PAGE_SIZE } from '../lib/filters'
import { number } from '../lib/format'

export function Pages({ filters, total }: { filters: Filters; total: number }) {
  const { page } = filters
  const last = Math.ceil(total / PAGE_SIZE)
  if (last <= 1) return null
  const to = (target: number) => hrefOf({ ...filters, page: target })
  return (
    <nav className="pages" aria-label="Pages">
      {page > 1 ? (
        <Link className="button button-quiet" href={to(page - 1)} rel="prev">
          ← Previous
        </Link>
      ) : (
        <span />
      )}
      <span aria-current="page">
        Page {number(page)} of {number(last)}
      </span>
      {page < last ? (
        <Link className="button button-quiet" href={to(page + 1)} rel="next">
          Next →
        </Link>
      ) : (
        <span />
      )}
    </nav>
  )
}
