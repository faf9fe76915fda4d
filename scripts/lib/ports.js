'use strict'
// Free ports of this machine, from below the range that outgoing connections take theirs from: a server that is
// stopped and started again then finds its port still free.

const net = require('node:net')

const LOWEST = 12_000
const HIGHEST = 32_000

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

async function freePort() {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    if (await isFree(port)) return port
  }
  throw new Error(`no free port between ${LOWEST} and ${HIGHEST}`)
}

module.exports = { freePort }
