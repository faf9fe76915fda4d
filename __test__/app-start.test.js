'use strict'
// `npm start`: the example application on its embedded Postgres, from the command to a page, and to its end.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const path = require('node:path')
const { test } = require('node:test')
const { eventually } = require('./support/kit.js')
const { freePort } = require('../scripts/lib/ports.js')
const { adopt } = require('./support/reaper.js')
const { ROOT, cleanEnvironment } = require('./support/script.js')

const START = path.join(ROOT, 'scripts', 'start.js')

test('npm start prints the address of a page that is there, says what it runs on, and ends when told', async () => {
  const port = await freePort()
  const env = cleanEnvironment({ PORT: String(port), DATABASE_URL: '' })
  const child = adopt(spawn(process.execPath, [START], { cwd: ROOT, env, stdio: 'pipe' }))
  const exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  const isTold = () => {
    assert.equal(child.exitCode, null, output)
    return output.includes('Ctrl+C ends it')
  }
  await eventually(isTold, 240_000, 'the address is printed')

  const [address] = output.match(/http:\/\/localhost:\d+/)
  const html = await (await fetch(address)).text()
  child.kill('SIGTERM')

  assert.equal(address, `http://localhost:${port}`)
  assert.match(output, /Postgres {2}embedded.+\n.+Redis {5}none: the cache is in memory alone/)
  assert.ok(html.includes('2,400 ways'))
  assert.equal(await exited, 143)
  await assert.rejects(fetch(address))
})
