'use client'

import { Link } from './link'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'

export function NavLink({ href, children }: { href: string; children: ReactNode }) {
  const path = usePathname()
  const isHere = href === '/' ? path === '/' || path.startsWith('/builds') : path.startsWith(href)
  return (
    <Link className="nav-link" href={href} aria-current={isHere ? 'page' : undefined}>
      {children}
    </Link>
  )
}
