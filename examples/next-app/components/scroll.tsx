import type { ReactNode } from 'react'

/** What is wider than a phone scrolls sideways: with a keyboard, too. */
export function Scroll({ name, children }: { name: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must take the focus
    <section className="scroll" tabIndex={0} aria-label={name}>
      {children}
    </section>
  )
}
