'use strict'
// A master, its replica and three Sentinels that watch over both: real servers on free loopback ports.

const { spawn } = require('node:child_process')
const { mkdtempSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { freePort } = require('../../scripts/lib/ports.js')
const { eventually } = require('./kit.js')
const { adopt, adoptFolder, discardFolder, signal } = require('./reaper.js')
const { serverCommand, startRedis } = require('./redis.js')
const { connect } = require('./resp.js')

const MASTER = 'm'
const QUORUM = 2
/** When a master that does not answer is taken for down; the election follows. */
const DOWN_AFTER = 500

/** Arguments of a server that is the replica of that port. */
const replicaOf = (port) => ['--replicaof', '127.0.0.1', String(port), '--repl-diskless-sync-delay', '0']

class Sentinel {
  #child
  #exited
  #folder

  async start(watched) {
    this.port = await freePort()
    this.#folder = adoptFolder(mkdtempSync(join(tmpdir(), 'tidecache-sentinel-')))
    const file = join(this.#folder, 'sentinel.conf')
    const lines = [
      `port ${this.port}`,
      'bind 127.0.0.1',
      `dir ${this.#folder}`,
      `sentinel monitor ${MASTER} 127.0.0.1 ${watched} ${QUORUM}`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER}`,
      `sentinel failover-timeout ${MASTER} 3000`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    this.#child = adopt(spawn(serverCommand(), [file, '--sentinel'], { stdio: 'ignore' }))
    this.#child.unref()
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve))
    await eventually(async () => (await this.command('PING').catch(() => undefined)) === 'PONG', 10_000, 'a Sentinel')
    return this
  }

  async command(...args) {
    const client = await connect(this.port)
    try {
      return await client.command(...args)
    } finally {
      client.close()
    }
  }

  pause() {
    signal(this.#child.pid, 'SIGSTOP')
  }

  resume() {
    signal(this.#child.pid, 'SIGCONT')
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.ref()
    signal(this.#child.pid, 'SIGKILL')
    await this.#exited
    discardFolder(this.#folder)
  }
}

/**
 * `{ url, servers, sentinels, masterPort() }`, which end with their test. `servers`: the master of the start, then its
 * replica; `args`: further arguments of both.
 */
async function useSentinels(t, { args = [] } = {}) {
  const running = []
  t.after(() => Promise.all(running.map((server) => server.stop())))
  const own = async (starting) => {
    const server = await starting
    running.push(server)
    return server
  }
  const first = await own(startRedis({ args }))
  const replica = await own(startRedis({ args: [...args, ...replicaOf(first.port)] }))
  const sentinels = await Promise.all([1, 2, 3].map(() => own(new Sentinel().start(first.port))))
  const [asked] = sentinels
  const field = async (name) => {
    const fields = await asked.command('SENTINEL', 'MASTER', MASTER)
    return fields[fields.indexOf(name) + 1]
  }
  const isReady = async () => (await field('num-slaves')) === '1' && (await field('num-other-sentinels')) === '2'
  await eventually(isReady, 15_000, 'the Sentinels know of each other')
  await eventually(
    async () => /master_link_status:up/.test(await replica.command('INFO', 'replication')),
    10_000,
    'the replica',
  )
  return {
    url: `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/?master=${MASTER}`,
    servers: [first, replica],
    sentinels,
    masterPort: async () => Number(await field('port')),
  }
}

module.exports = { DOWN_AFTER, MASTER, replicaOf, useSentinels }
