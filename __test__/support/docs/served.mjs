// For blocks that start a server: asks it, checks what it answers, and ends the process.

import assert from 'node:assert/strict'

/** @param {string} port from the environment of the block */
export async function expectServed(port, path, pattern) {
  const response = await eventuallyFetch(`http://127.0.0.1:${port}${path}`)
  const text = await response.text()
  assert.equal(response.status, 200, text)
  assert.match(text, pattern)
  process.exit(0)
}

async function eventuallyFetch(url) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await fetch(url)
    } catch (error) {
      if (attempt === 500) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
