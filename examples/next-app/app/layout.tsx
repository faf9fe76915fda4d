import type { Metadata, Viewport } from 'next'
import type { ReactNode } from 'react'
import { Header } from '../components/header'
import './styles/base.css'
import './styles/parts.css'
import './styles/metrics.css'

export const metadata: Metadata = {
  title: { default: 'Tidehall: builds of the realm', template: '%s · Tidehall' },
  description: 'An example application of tidecache: builds of characters, on Postgres behind a cache.',
}

export const viewport: Viewport = {
  colorScheme: 'light dark',
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#f6f4ef' },
    { media: '(prefers-color-scheme: dark)', color: '#0d1419' },
  ],
}

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <a className="skip" href="#content">
          Skip to the content
        </a>
        <Header />
        <main id="content" className="wide" tabIndex={-1}>
          {children}
        </main>
        <footer className="footer">
          <p className="wide">
            An example of tidecache: what you see was read through the cache, and what you change is new at once, in
            every replica.
          </p>
        </footer>
      </body>
    </html>
  )
}
