// What the benchmarks share: a Redis server of their own, and the median.

const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync } = require('node:fs')
const { connect } = require('node:net')
const { tmpdir } = require('node:os')
const path = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')
const { freePort } = require('../scripts/lib/ports.js')

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}

async function accepts(port) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await sleep(50)
  }
  throw new Error('redis-server did not start')
}

/** Starts a server on a free port, and stops it. @param {(url: string) => Promise<T>} use @template T @returns {Promise<T>} */
async function withRedis(use) {
  const port = await freePort()
  const dir = mkdtempSync(path.join(tmpdir(), 'tidecache-benchmark-'))
  const options = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir]
  const server = spawn('redis-server', options, { stdio: 'ignore' })
  try {
    await accepts(port)
    return await use(`redis://127.0.0.1:${port}`)
  } finally {
    server.kill()
    rmSync(dir, { recursive: true, force: true })
  }
}

module.exports = { median, withRedis }
