// Runs once when the server starts, before the first request.

export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return
  const { isEmbedded, openDatabase } = await import('./lib/database')
  const { joinFleet } = await import('./lib/fleet')
  const { useOwnNamespace } = await import('./lib/namespace')
  if (isEmbedded()) useOwnNamespace()
  joinFleet()
  // Not awaited: a database that is not up yet must not keep the server from starting.
  openDatabase().catch((error: Error) => console.error('Postgres:', error.message))
}
