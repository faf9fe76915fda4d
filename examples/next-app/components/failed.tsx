'use client'

import { Wave } from './icons'

export function Failed({ retry }: { retry: () => void }) {
  return (
    <div className="narrow message">
      <Wave />
      <h1>That did not work</h1>
      <p className="lead">Something failed on the server; its log says what.</p>
      <button className="button" type="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}
