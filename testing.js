'use strict'
// The door for tests.

exports.createTestCache = require('./lib/testing/cache.js').createTestCache
