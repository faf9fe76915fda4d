'use strict'
// Runs the process that endures on a Redis of its own, and judges what it said.

const { spawn } = require('node:child_process')
const path = require('node:path')
const { startRedis } = require('../../__test__/support/redis.js')
const { percentile } = require('../lib/tables.js')

/** So much of the samples is warm-up; and of the rest so much is its beginning, and its end. */
const WARM_UP = 0.3
const FIFTH = 0.2
/** What a process that does not leave by itself is given, ms. */
const LEAVING = 5_000

/** Least squares: the slope per unit of x, and its standard error. */
function slope(samples) {
  const n = samples.length
  const mean = (of) => samples.reduce((sum, sample) => sum + of(sample), 0) / n
  const [mx, my] = [mean(([x]) => x), mean(([, y]) => y)]
  const sxx = samples.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
  const value = samples.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx
  const rest = samples.reduce((sum, [x, y]) => sum + (y - my - value * (x - mx)) ** 2, 0)
  return { value, error: Math.sqrt(rest / Math.max(1, n - 2) / sxx) }
}

/**
 * Of what comes after the warm-up: growth over all of it, MB, with its standard error; `isTold`: as far as the samples can tell it
 * apart from their own noise. `first`, `last`: the medians of its first and its last fifth.
 */
function growth(samples) {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP))
  const span = warm.at(-1)[0] - warm[0][0]
  const { value, error } = slope(warm)
  const some = Math.max(1, Math.round(warm.length * FIFTH))
  const median = (part) =>
    percentile(
      part.map(([, mb]) => mb),
      0.5,
    )
  const [first, last] = [median(warm.slice(0, some)), median(warm.slice(-some))]
  return { first, last, grown: value * span, error: error * span, isTold: Math.abs(value) >= 2 * error }
}

async function left(redis, pattern) {
  return (await redis.command('KEYS', pattern)).length
}

/** Connections beside one's own. */
async function connections(redis) {
  return (
    String(await redis.command('CLIENT', 'LIST'))
      .trim()
      .split('\n').length - 1
  )
}

/** `{ threads, operations, end, code, connections, leases, lingered }` of a plan `{ seed, threads, ops }`. */
async function endure(plan) {
  const redis = await startRedis()
  try {
    const asked = { ...plan, redis: redis.url, namespace: 'endure' }
    const script = path.join(__dirname, 'process.js')
    const child = spawn(process.execPath, ['--expose-gc', script, JSON.stringify(asked)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const seen = { stderr: '' }
    let [text, last] = ['', Date.now()]
    child.stderr.setEncoding('utf8').on('data', (chunk) => (seen.stderr += chunk))
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
      last = Date.now()
      if (text.includes('"end"')) setTimeout(() => child.kill('SIGKILL'), LEAVING).unref()
    })
    seen.code = await new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
    seen.lingered = Date.now() - last
    Object.assign(
      seen,
      Object.fromEntries(
        text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line)),
      ),
    )
    seen.connections = await connections(redis)
    seen.leases = await left(redis, 'endure:l:*')
    return seen
  } finally {
    await redis.stop()
  }
}

/** What does not hold, in words. */
function shortcomings({ threads, operations, end, code, connections, leases, stderr = '' }) {
  const found = []
  if (code !== 0 || end === undefined) return [`the process ended with ${code}: ${stderr.slice(-2_000)}`]
  for (const [name, part] of Object.entries({ threads, operations })) {
    if (part === undefined) continue
    if (part.failed > 0) found.push(`${part.failed} errors of ${name}: ${part.errors[0]}`)
    const { grown, error, isTold } = growth(part.samples)
    if (grown > 0 && isTold) found.push(`${name}: resident memory grew by ${grown.toFixed(1)} ± ${error.toFixed(1)} MB`)
  }
  const { before, after, running } = end
  if (after.resources.length > 0) found.push(`still active: ${after.resources}`)
  if (after.files > before.files) found.push(`${after.files - before.files} more open files`)
  if (after.threads > before.threads) found.push(`${after.threads - before.threads} more threads`)
  if (running !== 0) found.push(`${running} loads have not ended`)
  if (connections > 0) found.push(`${connections} connections are left`)
  if (leases > 0) found.push(`${leases} leases are left`)
  return found
}

module.exports = { endure, growth, shortcomings }
