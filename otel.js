'use strict'
// The package's door to OpenTelemetry: nothing of it is loaded by anything else.

exports.instrument = require('./lib/otel.js').instrument
