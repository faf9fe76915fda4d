'use strict'
// Which Redis the demonstration uses: the one of REDIS_URL, else a server of its own on a free port, else none.

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { createCache } = require('tidecache')
const { freePort } = require('../../scripts/lib/ports.js')
const { findRedisServer } = require('../../scripts/redis-server.js')

/** Whether Redis answers at the address; without one, at what the environment says. */
async function answers(url) {
  const cache = createCache({ redis: url, logger: { warn() {} } })
  try {
    await cache.ready()
    return true
  } catch {
    return false
  } finally {
    await cache.close()
  }
}

async function eventuallyAnswers(child, url) {
  for (let attempt = 0; attempt < 5 && child.exitCode === null; attempt++) {
    if (await answers(url)) return true
  }
  return false
}

/** Nothing is written to disk; `stop` ends the server by its process id. */
async function startServer({ command, version }) {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn(command, args, { stdio: 'ignore' })
  const ended = once(child, 'exit').catch(() => {})
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill) // however this process ends
  const stop = async () => {
    kill()
    await ended
  }
  const url = `redis://127.0.0.1:${port}`
  if (await eventuallyAnswers(child, url)) {
    const number = version.match(/v=(\S+)/)?.[1] ?? ''
    return { url, about: `${command} ${number} on port ${port}, started for this, stopped after`, stop }
  }
  await stop()
  return { about: `none: ${command} did not start; memory only, one process`, stop() {} }
}

/**
 * Finds or starts a Redis.
 *
 * @returns {Promise<{ url?: string, about: string, stop(): unknown }>} no url: memory only
 */
async function openRedis() {
  const given = process.env.REDIS_URL
  if (given !== undefined && given !== '') {
    const isUp = await answers()
    if (isUp) return { url: given, about: `${new URL(given).host || 'a socket'}, from REDIS_URL`, stop() {} }
    return { about: 'none: that of REDIS_URL does not answer; memory only, one process', stop() {} }
  }
  const found = findRedisServer()
  if (found !== undefined) return startServer(found)
  return {
    about: 'none (no REDIS_URL, no redis-server on the PATH): memory only',
    stop() {},
  }
}

module.exports = { openRedis }
