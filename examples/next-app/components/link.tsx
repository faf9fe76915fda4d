import NextLink from 'next/link'
import type { ComponentProps } from 'react'

/** A link that fetches nothing ahead: every page here is rendered for each request. */
export function Link(props: Omit<ComponentProps<typeof NextLink>, 'prefetch'>) {
  return <NextLink prefetch={false} {...props} />
}
