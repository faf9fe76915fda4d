// Postgres, as the services see it: `query(sql, parameters)` gives rows. Every query is counted.
//
// With DATABASE_URL it is a server, which any number of replicas may share. Without, it is embedded in this process
// (PGlite: Postgres as WebAssembly), and gone with it.

import type { Pool } from 'pg'
import { type Execute, seed } from './seed'
import { shared } from './shared'

const counted = shared('queries', () => ({ executed: 0 }))

/** How many queries this process has made since its start. */
export const queryCount = () => counted.executed

/** Fills the database in one transaction. When that fails its connection is closed, which rolls it back. */
async function fill(pool: Pool) {
  const client = await pool.connect()
  let isFilled = false
  try {
    await client.query('BEGIN')
    await seed(
      (sql, parameters) => client.query(sql, parameters),
      (sql) => client.query(sql),
    )
    await client.query('COMMIT')
    isFilled = true
  } finally {
    client.release(!isFilled)
  }
}

async function connect(url: string): Promise<Execute> {
  const { Pool } = await import('pg')
  const pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 5_000 })
  pool.on('error', (error) => console.error('Postgres:', error.message)) // of an idle connection: the next query opens another
  try {
    await fill(pool)
  } catch (error) {
    await pool.end() // the next attempt makes its own
    throw error
  }
  return (sql, parameters) => pool.query(sql, parameters)
}

async function embed(): Promise<Execute> {
  const { PGlite } = await import('@electric-sql/pglite')
  const postgres = await PGlite.create()
  await postgres.transaction((transaction) =>
    seed(
      (sql, parameters) => transaction.query(sql, parameters),
      (sql) => transaction.exec(sql),
    ),
  )
  return (sql, parameters) => postgres.query(sql, parameters)
}

const databaseUrl = () => process.env.DATABASE_URL ?? ''

/** Whether the database is of this process alone. */
export const isEmbedded = () => databaseUrl() === ''

const opened = shared('database', () => ({ database: undefined as Promise<Execute> | undefined }))

/** Connects and fills the database, once; a failure is tried again by the next call. */
export function openDatabase(): Promise<Execute> {
  const url = databaseUrl()
  opened.database ??= (url === '' ? embed() : connect(url)).catch((error) => {
    opened.database = undefined
    throw error
  })
  return opened.database
}

export async function query<Row>(sql: string, parameters: unknown[] = []): Promise<Row[]> {
  const execute = await openDatabase()
  counted.executed++
  const { rows } = await execute(sql, parameters)
  return rows as Row[]
}
