'use strict'
// How a bad option must be refused, for the tests of options.

const assert = require('node:assert/strict')

const refusal = (run) => {
  try {
    run()
  } catch (error) {
    assert.equal(error.name, 'CacheConfigError', error.stack)
    assert.equal(error.code, 'ERR_CACHE_CONFIG')
    assert.ok(error.message.length < 500, error.message)
    return error.message
  }
  return assert.fail('must be refused')
}
const refuses = (run, expected) => assert.match(refusal(run), expected)

module.exports = { refusal, refuses }
