'use strict'
// Round trips, counted: a proxy in front of a Redis that holds answers back a little, so that all that is asked
// together arrives before the first answer leaves. What a connection asks between two answers is one turn.

const net = require('node:net')

const ANSWER_AFTER_MS = 15

/** The commands of a turn and how often: { GET: 100 }. */
function commandsOf(text) {
  const counts = {}
  for (const [, name] of text.matchAll(/\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n/g)) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** @returns {Promise<{ port: number, turns(): object[][], forget(): void }>} turns of each connection so far */
async function useTurns(t, port) {
  const links = []
  const server = net.createServer((client) => {
    const link = { turns: [], isAsking: false }
    links.push(link)
    const upstream = net.connect(port, '127.0.0.1')
    client.on('data', (chunk) => {
      if (!link.isAsking) link.turns.push('')
      link.isAsking = true
      link.turns.push(link.turns.pop() + chunk.toString('latin1'))
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      setTimeout(() => {
        link.isAsking = false
        client.write(chunk)
      }, ANSWER_AFTER_MS)
    })
    const end = () => [client, upstream].forEach((socket) => void socket.destroy())
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return {
    port: server.address().port,
    turns: () => links.map(({ turns }) => turns.map(commandsOf)),
    forget() {
      for (const link of links) link.turns.length = 0
    },
  }
}

module.exports = { useTurns }
