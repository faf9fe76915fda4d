'use client'
// Stands for the whole document when the layout itself fails: so it needs nothing that could fail again.

import { Failed } from '../components/failed'
import './styles/base.css'
import './styles/parts.css'

export default function GlobalError({ retry }: { retry: () => void }) {
  return (
    <html lang="en">
      <body>
        <title>That did not work · Tidehall</title>
        <main className="wide">
          <Failed retry={retry} />
        </main>
      </body>
    </html>
  )
}
