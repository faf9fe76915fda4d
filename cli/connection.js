'use strict'
// Which Redis and which namespace a command is about: options, then the environment; and the native part that asks it.

const { readFileSync } = require('node:fs')
const { CacheError, redact } = require('../lib/errors.js')
const { cacheOptions } = require('../lib/options.js')
const { Failure, UsageError } = require('./args.js')

function readPem(file, option) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`option '--${option}' names a file that cannot be read: ${error.message}`)
  }
}

function redisOf(values) {
  const { redis: url } = values
  const files = { ca: values['tls-ca'], cert: values['tls-cert'], key: values['tls-key'] }
  const given = Object.entries(files).filter(([, file]) => file !== undefined)
  if (given.length === 0) return url
  const tls = Object.fromEntries(given.map(([name, file]) => [name, readPem(file, `tls-${name}`)]))
  return { ...(url === undefined ? {} : { url }), tls }
}

/** Options as the library checks them; the message names what the user wrote. */
function checked(options) {
  try {
    return cacheOptions(options)
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    const message = error.message.replace(/^redis(?:\.url)? /, '--redis ').replace(/^namespace /, '--namespace ')
    throw new UsageError(message)
  }
}

/**
 * @param {Record<string, any>} values the command's options
 * @returns {{ options: object, redis: object, namespace: string, url: string }} `options` for createCache; `url` to be shown
 * @throws {UsageError}
 */
function target(values) {
  const options = { redis: redisOf(values), namespace: values.namespace }
  const { redis, namespace } = checked(options)
  if (redis === null) {
    throw new UsageError('no Redis is named: give --redis redis://host:6379 or set REDIS_URL')
  }
  return { options: { redis: options.redis, namespace }, redis, namespace, url: redact(redis.url) }
}

/** The native part, loaded at first use: `--help` works without it. */
function openAdmin({ redis, namespace }) {
  const { Admin } = require('../lib/native.js')
  const { nativeRedis } = require('../lib/options/native.js')
  return new Admin(nativeRedis(redis), namespace)
}

/** Asks the native part; its refusal is a sentence. */
async function ask(promise) {
  try {
    return JSON.parse((await promise) ?? null)
  } catch (error) {
    throw new Failure(error.message)
  }
}

module.exports = { target, openAdmin, ask }
