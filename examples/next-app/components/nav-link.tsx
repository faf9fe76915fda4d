'use client'

import { Link } from './link'
import { usePathname } from 'next/navigation'
import type { ReactNode } from 'react'

export function NavLink({ href, children }: { href: string; children: ReactNode }) {
  const path = usePathname()
  const isHere = path === href || path.startsWith(href === '/' ? '/builds/' : `${href}/`)
  return (
    <Link className="nav-link" href={href} aria-current={isHere ? 'page' : undefined}>
      {children}
    </Link>
  )
}
