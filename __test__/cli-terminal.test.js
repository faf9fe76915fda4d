'use strict'
// The command line tool on a terminal: colours, columns, frames, and a question.

const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { after, before, describe, test } = require('node:test')
const { CLI } = require('./support/cli.js')
const { freshNamespace } = require('./support/kit.js')
const { adopt } = require('./support/reaper.js')
const { startRedis } = require('./support/redis.js')
const { cleanEnvironment } = require('./support/script.js')

/** Runs a command line on a terminal of 80 columns, by the `script` of util-linux; `keys` is typed into it. */
async function onTerminal(command, { env, keys = '' } = {}) {
  const line = `stty cols 80 rows 24; exec ${command}`
  const child = adopt(
    spawn('script', ['-qec', line, '/dev/null'], { env: cleanEnvironment({ TERM: 'xterm', ...env }), stdio: 'pipe' }),
  )
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stdin.write(keys)
  const [code] = await once(child, 'close')
  return { code, output: output.replaceAll('\r\n', '\n') }
}

const NO_TERMINAL = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux')
  ? false
  : 'needs the script command of util-linux'

describe('on a terminal', { skip: NO_TERMINAL }, () => {
  const namespace = freshNamespace()
  const colours = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')
  let redis
  let env
  let cache

  before(async () => {
    redis = await startRedis()
    env = { REDIS_URL: redis.url, TIDECACHE_NAMESPACE: namespace }
    const { createCache } = require('..')
    cache = createCache({ redis: redis.url, namespace })
    await cache.set(`long:${'k'.repeat(200)}`, 1, { ttl: '1h', tags: ['t'.repeat(200)] })
    await cache.set('漢字', 1, { ttl: '1h', tags: ['タグ'] })
  })
  after(async () => {
    await cache.close()
    await redis.stop()
  })

  test('ls is in colour, and cut to its columns', async () => {
    const { output } = await onTerminal(`${process.execPath} ${CLI} ls`, { env })
    const plain = await onTerminal(`${process.execPath} ${CLI} ls`, { env: { ...env, NO_COLOR: '1' } })

    const lines = plain.output.trimEnd().split('\n')
    assert.equal(lines.length, 3)
    assert.ok(lines.some((line) => line.startsWith('long:kkk') && line.includes('…')))
    for (const line of lines) assert.ok(line.length <= 80, `${line.length} columns: ${line}`)
    assert.match(output, colours)
    assert.doesNotMatch(plain.output, colours)
    assert.equal(output.replaceAll(colours, '').split('\n').length, lines.length + 1)
  })

  test('top draws over its last frame, and gives the cursor back', async () => {
    const { code, output } = await onTerminal(`timeout -s INT 2 ${process.execPath} ${CLI} top --interval 300ms`, {
      env,
    })

    assert.ok([0, 124].includes(code), `${code}`)
    assert.ok(output.split('tidecache top').length > 3, 'several frames')
    const up = new RegExp(`${String.fromCharCode(27)}\\[1\\dA`)
    assert.match(output, up)
    assert.ok(output.lastIndexOf('\x1b[?25h') > output.lastIndexOf('\x1b[?25l'))
  })

  test('invalidate --all asks first, and no is no', async () => {
    const command = `${process.execPath} ${CLI} invalidate --all`
    const no = await onTerminal(command, { env, keys: 'n\n' })
    const kept = await cache.get('漢字')
    const yes = await onTerminal(command, { env, keys: 'y\n' })

    assert.equal(no.code, 1)
    assert.match(no.output, /Invalidate every entry of namespace .+\? \[y\/N\]/)
    assert.match(no.output, /nothing was invalidated/)
    assert.equal(kept, 1)
    assert.equal(yes.code, 0)
    assert.match(yes.output, /everything\. Redis has applied it\./)
  })
})
