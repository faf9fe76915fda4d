// Postgres, as the services see it: `query(sql, parameters)` gives rows. Every query is counted.
//
// With DATABASE_URL it is a server, which any number of replicas may share. Without, it is embedded in this process
// (PGlite: Postgres as WebAssembly), and gone with it.

import { type Execute, seed } from './seed'
import { shared } from './shared'

type Database = Execute & { close?: () => Promise<void> }

const counted = shared('queries', () => ({ executed: 0 }))

/** How many queries this process has made since its start. */
export const queryCount = () => counted.executed

async function connect(url: string): Promise<Database> {
  const { Pool } = await import('pg')
  const pool = new Pool({ connectionString: url, max: 10 })
  pool.on('error', (error) => console.error('Postgres:', error.message)) // of an idle connection: the next query opens another
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await seed(
      (sql, parameters) => client.query(sql, parameters),
      (sql) => client.query(sql),
    )
    await client.query('COMMIT')
  } finally {
    client.release()
  }
  return (sql, parameters) => pool.query(sql, parameters)
}

async function embed(): Promise<Database> {
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

const opened = shared('database', () => ({ database: undefined as Promise<Database> | undefined }))

/** Connects and fills the database, once; a failure is tried again by the next call. */
export function openDatabase(): Promise<Database> {
  const url = process.env.DATABASE_URL
  opened.database ??= (url === undefined || url === '' ? embed() : connect(url)).catch((error) => {
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
