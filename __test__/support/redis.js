'use strict'
// Real Redis servers on free loopback ports, each in a folder of its own, ended by process id.
//
// `pause` stops the process (its port still accepts connections: the kernel does), `kill` loses what was not saved,
// `stop` is a clean end, `restart` comes back on the same port.

const { spawn, spawnSync } = require('node:child_process')
const { mkdtempSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { adopt, adoptFolder, discardFolder, signal } = require('./reaper.js')
const { freePort } = require('../../scripts/lib/ports.js')
const { connect } = require('./resp.js')

const DEFAULTS = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no']

let found

/** The server's command: TIDECACHE_TEST_REDIS_SERVER, else redis-server or valkey-server of the PATH. */
function serverCommand() {
  const candidates = [process.env.TIDECACHE_TEST_REDIS_SERVER, 'redis-server', 'valkey-server'].filter(Boolean)
  found ??= candidates.find((name) => spawnSync(name, ['--version']).status === 0)
  if (found === undefined) throw new Error('no redis-server or valkey-server on the PATH')
  return found
}

async function answers(at) {
  const client = await connect(at)
  try {
    return await client.command('PING')
  } catch (error) {
    // A server that wants a password has answered too. One that is loading has not.
    if (error.message.startsWith('NOAUTH')) return 'PONG'
    throw error
  } finally {
    client.close()
  }
}

async function waitForPong(child, at, output) {
  const deadline = Date.now() + 10_000
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`redis-server ended:\n${output()}`)
    if ((await answers(at).catch(() => undefined)) === 'PONG') return
    if (Date.now() > deadline) throw new Error(`no PONG on ${at} within 10 s:\n${output()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

class RedisServer {
  #child
  #exited
  #client
  #args
  #ownFolder
  #within

  constructor(port, args, { dir, ownFolder, within, socket }) {
    this.port = port
    this.dir = dir
    this.url = `redis://127.0.0.1:${port}`
    /** Where it is asked from here: its port, or its socket. */
    this.at = socket ? join(dir, 'redis.sock') : port
    this.#args = socket ? [...args, '--unixsocket', this.at] : args
    this.#ownFolder = ownFolder
    this.#within = within
  }

  get pid() {
    return this.#child?.pid
  }

  async start(args = this.#args) {
    this.#args = args
    let text = ''
    const all = ['--port', String(this.port), '--dir', this.dir, ...DEFAULTS, ...args]
    const [command, ...rest] = [...this.#within, serverCommand(), ...all]
    const child = adopt(spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] }))
    this.#child = child
    this.#exited = new Promise((resolve) => child.once('exit', resolve))
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => (text = (text + chunk).slice(-4_000)))
      stream.unref()
    }
    child.unref()
    await waitForPong(child, this.at, () => text)
    return this
  }

  /** Sends a raw command over a connection that is kept. */
  async command(...args) {
    this.#client ??= await connect(this.at)
    try {
      return await this.#client.command(...args)
    } catch (error) {
      if (error.message === 'connection lost') this.#client = undefined
      throw error
    }
  }

  pause() {
    signal(this.pid, 'SIGSTOP')
  }

  resume() {
    signal(this.pid, 'SIGCONT')
  }

  /** Ends the process at once; what is not on disk is lost. */
  async kill() {
    await this.#end('SIGKILL')
  }

  /** Starts the server again on the same port and folder, after ending it if it still runs. */
  async restart(args) {
    await this.kill()
    return this.start(args)
  }

  async stop() {
    await this.#end('SIGKILL')
    if (this.#ownFolder) discardFolder(this.dir)
  }

  async #end(name) {
    this.#client?.close()
    this.#client = undefined
    if (this.#child === undefined) return
    this.#child.ref()
    signal(this.pid, name)
    await this.#exited
    this.#child = undefined
  }
}

/**
 * Starts a server and waits until it answers.
 * `args`: further arguments of redis-server; `dir`: its folder, else one of its own, removed at the end; `within`: a command that
 * runs it; `socket`: it has a unix socket too, and is asked over that.
 */
async function startRedis({ args = [], dir, within = [], socket = false } = {}) {
  const folder = dir ?? adoptFolder(mkdtempSync(join(tmpdir(), 'tidecache-redis-')))
  for (let attempt = 1; ; attempt++) {
    const server = new RedisServer(await freePort(), args, {
      dir: folder,
      ownFolder: dir === undefined,
      within,
      socket,
    })
    try {
      return await server.start()
    } catch (error) {
      await server.kill() // somebody may have taken the port between the look and the start
      if (attempt === 3) throw error
    }
  }
}

/** A server that ends with its test. */
async function useRedis(t, options) {
  const server = await startRedis(options)
  t.after(() => server.stop())
  return server
}

module.exports = { serverCommand, startRedis, useRedis }
