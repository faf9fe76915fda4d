'use strict'
// `tidecache/next` in an application with `cacheComponents`.

const { testApplication } = require('./support/next-cases.js')

testApplication('cc')
