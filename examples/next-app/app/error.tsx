'use client'

export default function ErrorPage({ reset }: { error: Error; reset: () => void }) {
  return (
    <div className="narrow">
      <h1>That did not work</h1>
      <p className="lead">Something failed on the server; its log says what.</p>
      <button className="button" type="button" onClick={reset}>
        Try again
      </button>
    </div>
  )
}
