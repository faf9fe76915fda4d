// Runs once when the server starts, before the first request.

export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { openDatabase } = await import('./lib/database')
  const { joinFleet } = await import('./lib/fleet')
  joinFleet()
  // Not awaited: a database that is not up yet must not keep the server from starting.
  openDatabase().catch((error: Error) => console.error('Postgres:', error.message))
}
