'use strict'
// Options of Redis in the form that the native part takes: absent members are undefined there, null here.

function nativeRedis(redis) {
  const given = (value) => (value === null ? undefined : value)
  const { tls } = redis
  return {
    host: given(redis.host),
    port: given(redis.port),
    path: given(redis.path),
    username: given(redis.username),
    password: given(redis.password),
    db: redis.db,
    tls:
      tls === null
        ? undefined
        : {
            ca: given(tls.ca),
            cert: given(tls.cert),
            key: given(tls.key),
            servername: given(tls.servername),
            rejectUnauthorized: tls.rejectUnauthorized,
          },
    connectTimeout: redis.connectTimeout,
    commandTimeout: redis.commandTimeout,
    maxUnverified: redis.maxUnverified,
    isolated: redis.isolated,
    coherence: redis.coherence,
  }
}

module.exports = { nativeRedis }
