'use strict'
// How calls fail: with the loader's own error, a time-out of ours, the signal's reason, or because the cache is closed.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { counted, eventually, failing, gated, sleep, timed, within } = require('./support/kit.js')
const { inBothSetups, rejectsWith } = require('./support/setups.js')

const reasonOf = (promise) =>
  promise.then(
    () => assert.fail('must reject'),
    (reason) => reason,
  )

inBothSetups((open) => {
  test('joiners receive the same error object as the leader', async (t) => {
    const cache = open(t)
    const error = new Error('database gone')
    const loader = failing(error, 20)

    const reasons = await Promise.all(Array.from({ length: 10 }, () => reasonOf(cache.getOrSet('k', loader))))

    for (const reason of reasons) assert.equal(reason, error)
    assert.equal(loader.calls, 1)
  })

  test('an error is not cached: the next call loads', async (t) => {
    const cache = open(t)
    await reasonOf(cache.getOrSet('k', failing(new Error('once'))))

    const { value, ms } = await timed(() => cache.getOrSet('k', () => 'recovered'))

    assert.equal(value, 'recovered')
    assert.ok(ms < 150, `took ${ms} ms`)
  })

  test('a loader that throws at once, or something that is no Error, rejects with just that', async (t) => {
    const cache = open(t)
    const error = new TypeError('at once')
    const throwAtOnce = () => {
      throw error
    }

    assert.equal(await reasonOf(cache.getOrSet('a', throwAtOnce)), error)
    assert.equal(await reasonOf(cache.getOrSet('b', failing('text'))), 'text')
    assert.equal(await reasonOf(cache.getOrSet('c', failing(undefined))), undefined)
  })

  test('a loader past loadTimeout gives CacheTimeoutError and an aborted ctx.signal', async (t) => {
    const cache = open(t)
    const loader = gated('late')

    const { value: error, ms } = await timed(() => reasonOf(cache.getOrSet('k', loader, { loadTimeout: '150ms' })))

    await rejectsWith(Promise.reject(error), 'CacheTimeoutError', 'ERR_CACHE_TIMEOUT')
    assert.ok(ms >= 140 && ms < 600, `took ${ms} ms`)
    assert.equal(loader.ctx.signal.aborted, true)
    assert.equal(await cache.getOrSet('k', () => 'next'), 'next')
    loader.release()
    await sleep(20)
    assert.notEqual(await cache.get('k'), 'late')
  })

  test('a signal ends the wait of its caller alone, with its reason', async (t) => {
    const cache = open(t)
    const loader = gated('value')
    const controller = new AbortController()
    const reason = new Error('client left')

    const leaver = reasonOf(cache.getOrSet('k', loader, { signal: controller.signal }))
    const stayer = cache.getOrSet('k', loader)
    await loader.began
    controller.abort(reason)

    assert.equal(await leaver, reason)
    assert.equal(loader.ctx.signal.aborted, false)
    loader.release()
    assert.equal(await stayer, 'value')
    assert.equal(loader.calls, 1)
  })

  test('a signal of a polyfill that is aborted already ends the call with its reason', async (t) => {
    const cache = open(t)
    const signal = { aborted: true, reason: new Error('left'), addEventListener() {} }

    for (const act of [
      () => cache.getOrSet('k', () => 1, { signal }),
      () => cache.getOrSetMany(['k'], () => new Map(), { signal }),
      () => cache.get('k', { signal }),
    ]) {
      await assert.rejects(act, signal.reason)
    }
  })

  test('a signal that is aborted already: the loader does not run', async (t) => {
    const cache = open(t)
    const loader = counted('value')
    const signal = AbortSignal.abort()

    assert.equal(await reasonOf(cache.getOrSet('k', loader, { signal })), signal.reason)
    assert.equal(await reasonOf(cache.get('k', { signal })), signal.reason)
    assert.equal(loader.calls, 0)
  })

  test('a load that its only caller left does not break the next call', async (t) => {
    const cache = open(t)
    const controller = new AbortController()
    const loader = gated('first')
    const leaver = reasonOf(cache.getOrSet('k', loader, { signal: controller.signal }))
    await loader.began

    controller.abort()
    await leaver
    const next = cache.getOrSet('k', () => 'second')
    loader.release()

    assert.ok(['first', 'second'].includes(await next))
  })

  test('what goes wrong after the value was given ends the load, and is told', async (t) => {
    const warnings = []
    const cache = open(t, { logger: { warn: (message) => warnings.push(message) } })
    const { random } = Math
    t.after(() => Object.assign(Math, { random }))
    const loader = counted(() => {
      Math.random = () => {
        throw new Error('no chance in tests')
      }
      return 'value'
    })

    assert.equal(await cache.getOrSet('k', loader, { jitter: 0.5 }), 'value')
    Object.assign(Math, { random })

    const next = cache.getOrSet('k', () => 'next', { ttl: '1h' })
    assert.equal(await within(next, 3_000, 'nothing'), 'next')
    assert.deepEqual(warnings, ['a value was loaded, and not kept: no chance in tests'])
  })

  test('a closed cache rejects every call with CacheClosedError; close is idempotent', async (t) => {
    const cache = open(t)
    await cache.set('k', 1)

    await Promise.all([cache.close(), cache.close()])
    await cache.close()

    const calls = [
      cache.getOrSet('k', () => 1),
      cache.get('k'),
      cache.set('k', 1),
      cache.invalidate('k'),
      cache.ready(),
    ]
    for (const call of calls) await rejectsWith(call, 'CacheClosedError', 'ERR_CACHE_CLOSED')
  })

  test('a load that is under way at close still answers its caller', async (t) => {
    const cache = open(t)
    const loader = gated('value')
    const pending = cache.getOrSet('k', loader).then(
      (value) => value,
      (error) => error.code,
    )
    await loader.began

    const closed = cache.close()
    loader.release()

    await closed
    assert.ok(['value', 'ERR_CACHE_CLOSED'].includes(await pending))
  })

  test('closing one handle leaves the other of its engine open', async (t) => {
    const namespace = `shared-${process.pid}-${Date.now()}`
    const [first, second] = [open(t, { namespace }), open(t, { namespace })]
    await first.set('k', 1)

    await first.close()

    assert.equal(await second.get('k'), 1)
  })

  /** Collects what Node would end a server for. */
  function watchUnhandled(t) {
    const unhandled = []
    const listener = (reason) => unhandled.push(reason)
    process.on('unhandledRejection', listener)
    t.after(() => process.off('unhandledRejection', listener))
    return unhandled
  }

  test('no rejection is left unhandled, whichever way a caller waits', async (t) => {
    const unhandled = watchUnhandled(t)
    const cache = open(t)
    const controller = new AbortController()
    const { signal } = controller
    const ways = [{}, { signal }, { staleAfter: '1s' }, { signal, staleAfter: '1s' }]
    const stuck = () => new Promise(() => {})

    for (const [i, way] of ways.entries()) {
      await reasonOf(cache.getOrSet(`failing ${i}`, failing(new Error('down')), way))
      await reasonOf(cache.getOrSet(`slow ${i}`, stuck, { ...way, loadTimeout: '100ms' }))
    }
    const leavers = ways.filter((way) => 'signal' in way).map((way, i) => cache.getOrSet(`left ${i}`, stuck, way))
    controller.abort()
    for (const leaver of leavers) await reasonOf(leaver)

    await sleep(20)
    assert.deepEqual(unhandled, [])
  })

  test('no rejection is left unhandled when a background refresh fails', async (t) => {
    const unhandled = watchUnhandled(t)
    const cache = open(t)
    await cache.set('k', 'old', { ttl: '100ms', staleWhileRevalidate: '1m' })
    await sleep(150)
    const loader = failing(new Error('refresh failed'))

    assert.equal(await cache.getOrSet('k', loader), 'old')

    await eventually(() => loader.calls === 1)
    await sleep(50)
    assert.deepEqual(unhandled, [])
  })
})
