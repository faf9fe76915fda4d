'use strict'
// The database as services see it: `query(sql, parameters)` gives rows, and every query that Postgres really
// executes is counted.
//
// There is one Postgres, as in a real deployment: it is embedded in the first process, and the second sends its
// queries there over the channel between the two.

const v8 = require('node:v8')
const { seed } = require('./seed.js')

/** Compiled fast rather than well: Postgres, as WebAssembly, starts in half the time and runs for seconds only. */
const COMPILE_FAST = '--liftoff-only'

let postgres
const executed = { all: 0, selects: 0 }

/** @returns {Promise<{ classes: number, builds: number }>} how many rows there are */
async function start() {
  v8.setFlagsFromString(COMPILE_FAST)
  const { PGlite } = require('@electric-sql/pglite')
  postgres = new PGlite()
  await postgres.waitReady
  return seed(postgres)
}

async function stop() {
  await postgres?.close()
}

async function query(sql, parameters = []) {
  if (postgres === undefined) return ask(sql, parameters)
  executed.all++
  if (sql.startsWith('SELECT')) executed.selects++
  const { rows } = await postgres.query(sql, parameters)
  return rows
}

/** In the second process: queries that the first has not answered yet. */
const asked = new Map()
let questions = 0

function ask(sql, parameters) {
  if (questions === 0) process.on('message', onAnswer)
  const question = ++questions
  return new Promise((resolve, reject) => {
    asked.set(question, { resolve, reject })
    process.send({ question, sql, parameters })
  })
}

function onAnswer({ answerTo, rows, error }) {
  const waiting = asked.get(answerTo)
  asked.delete(answerTo)
  if (error === undefined) waiting?.resolve(rows)
  else waiting?.reject(error)
}

/** In the first process: executes the queries of another. */
function serve(child) {
  child.on('message', async ({ question, sql, parameters }) => {
    if (question === undefined) return
    const answer = await query(sql, parameters).then(
      (rows) => ({ rows }),
      (error) => ({ error }),
    )
    child.send({ answerTo: question, ...answer })
  })
}

/** How many queries Postgres has executed, and how many of them were reads. */
const queries = () => executed.all
const selects = () => executed.selects

module.exports = { queries, query, selects, serve, start, stop }
