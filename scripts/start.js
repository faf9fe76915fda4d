'use strict'
// `npm start`: the example application, from a fresh clone to an address. It installs, builds and packs what is out of
// date, and runs `next start` on an embedded Postgres.
//
//   PORT           3000, or the next free one
//   REDIS_URL      a Redis; without it the cache is in memory alone
//   DATABASE_URL   a Postgres server; without it, one embedded in the process

const net = require('node:net')
const { preparations, spawnApp } = require('./lib/next-app.js')
const { fail, runSteps } = require('./lib/run.js')

const LAST_PORT = 65_535
const PATIENCE = 120_000
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer().once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

async function choosePort() {
  const wanted = Number(process.env.PORT || 3000)
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > LAST_PORT)
    throw new Error(`PORT is no port: ${process.env.PORT}`)
  for (let port = wanted; port <= Math.min(wanted + 20, LAST_PORT); port++) if (await isFree(port)) return port
  throw new Error(`ports ${wanted} to ${wanted + 20} are in use: choose one with PORT`)
}

/** Without a password, if there is one. */
function shown(address) {
  try {
    const { protocol, host, pathname } = new URL(address)
    return `${protocol}//${host}${pathname}`
  } catch {
    return 'as given'
  }
}

/** The first answer takes as long as the database takes to start. */
async function answers(child, address) {
  const deadline = Date.now() + PATIENCE
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined)
    if (response?.ok) return true
    await sleep(250)
  }
  return false
}

function tell(port) {
  const { DATABASE_URL: database = '', REDIS_URL: redis = '' } = process.env
  const address = `http://localhost:${port}`
  // With a database that is new, the application takes a namespace that is, too.
  const entries = database === '' ? ', for entries of this run alone' : ''
  console.log(`
  Tidehall, the example application, is at  ${address}
  Its live metrics are at                   ${address}/metrics

  Postgres  ${database === '' ? 'embedded: changes are gone when this ends (DATABASE_URL: a server)' : shown(database)}
  Redis     ${redis === '' ? 'none: the cache is in memory alone (REDIS_URL: a server)' : shown(redis) + entries}

  Ctrl+C ends it.
`)
}

/** Whoever kills npm alone (not the group, as Ctrl+C does) would leave this process behind: it is told of nothing. */
function endWithParent(end) {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    end()
  }, 1_000)
  timer.unref()
}

async function start() {
  const port = await choosePort()
  const child = spawnApp({
    port,
    env: { TIDECACHE_NAMESPACE: 'next-app', ...process.env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  endWithParent(() => child.kill('SIGTERM'))
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
  })
  child.once('error', fail)
  console.log(`\n▶ start it: the database is filled with 2,400 builds`)
  if (await answers(child, `http://localhost:${port}/`)) tell(port)
  else if (child.exitCode === null && child.signalCode === null) fail(new Error('the application does not answer'))
}

runSteps(preparations())
  .then((isReady) => (isReady ? start() : undefined))
  .catch(fail)
