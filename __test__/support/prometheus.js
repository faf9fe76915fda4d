'use strict'
// A strict reader of Prometheus's text format 0.0.4, by https://prometheus.io/docs/instrumenting/exposition_formats/
// It refuses what the format leaves open as well: a family without HELP or TYPE, blank lines, spaces to spare.

const assert = require('node:assert/strict')

const TYPES = ['counter', 'gauge', 'histogram']
const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\\\|\\n)+)$/
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (\w+)$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y
const NUMBER = /^(?:NaN|[+-]?Inf|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/
const UNESCAPED = { '\\\\': '\\', '\\"': '"', '\\n': '\n' }

function parseNumber(text, line) {
  assert.match(text, NUMBER, `value in: ${line}`)
  return Number(text.replace('Inf', 'Infinity'))
}

function parseLabels(text, line) {
  const labels = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text)
    assert.ok(match, `labels in: ${line}`)
    assert.ok(!Object.hasOwn(labels, match[1]), `label ${match[1]} twice in: ${line}`)
    assert.ok(match[3] === '' || LABEL.lastIndex < text.length, `a comma at the end of: ${line}`)
    labels[match[1]] = match[2].replace(/\\[\\"n]/g, (pair) => UNESCAPED[pair])
  }
  return labels
}

function parseSample(line) {
  const match = SAMPLE.exec(line)
  assert.ok(match, `no sample: ${line}`)
  const [, name, labels = '', value] = match
  return { name, labels: parseLabels(labels, line), value: parseNumber(value, line) }
}

const without = ({ le, ...others }) => JSON.stringify(others)

/** Cumulative buckets in rising order, the last one +Inf and equal to the count, and a sum: per set of labels. */
function checkHistogram(name, samples) {
  const of = (suffix, labels) => samples.filter((s) => s.name === name + suffix && without(s.labels) === labels)
  const sets = new Set(samples.map(({ labels }) => without(labels)))
  for (const labels of sets) {
    const buckets = of('_bucket', labels)
    const edges = buckets.map(({ labels: { le } }) => parseNumber(le, le))
    assert.deepEqual(
      edges,
      [...new Set(edges)].sort((a, b) => a - b),
      `edges of ${name}`,
    )
    assert.equal(edges.at(-1), Infinity, `${name} ends with +Inf`)
    buckets.reduce((before, { value }) => {
      assert.ok(value >= before, `buckets of ${name} are cumulative`)
      return value
    }, 0)
    assert.deepEqual(
      of('_count', labels).map(({ value }) => value),
      [buckets.at(-1).value],
    )
    assert.equal(of('_sum', labels).length, 1)
    assert.equal(buckets.length + 2, samples.filter((s) => without(s.labels) === labels).length)
  }
}

function checkFamily({ name, type, samples }) {
  assert.ok(samples.length > 0, `${name} has samples`)
  if (type === 'histogram') return checkHistogram(name, samples)
  for (const sample of samples) assert.equal(sample.name, name, `a sample of ${name} within its family`)
  if (type === 'counter') assert.match(name, /_total$/)
  for (const { value } of samples) assert.ok(type !== 'counter' || value >= 0, `${name} is not negative`)
}

/**
 * @param {string} text
 * @returns {Map<string, { name, type, help, samples: { name, labels, value }[] }>} families by name
 */
function parsePrometheus(text) {
  assert.ok(text.endsWith('\n'), 'the last line ends with a line feed')
  const families = new Map()
  const seen = new Set()
  let family
  for (const line of text.slice(0, -1).split('\n')) {
    const help = HELP.exec(line)
    const type = TYPE.exec(line)
    if (help !== null) {
      assert.ok(!families.has(help[1]), `${help[1]} in one group only`)
      family = { name: help[1], help: help[2], samples: [] }
      families.set(family.name, family)
    } else if (type !== null) {
      assert.equal(type[1], family?.name, `TYPE follows its HELP: ${line}`)
      assert.ok(TYPES.includes(type[2]) && family.type === undefined && family.samples.length === 0, line)
      family.type = type[2]
    } else {
      const sample = parseSample(line)
      assert.ok(family?.type !== undefined, `HELP and TYPE before: ${line}`)
      const series = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`
      assert.ok(!seen.has(series), `one sample per series: ${line}`)
      seen.add(series)
      family.samples.push(sample)
    }
  }
  for (const one of families.values()) checkFamily(one)
  return families
}

/** The value of one series. */
function sampleOf(families, name, labels = {}) {
  const samples = [...families.values()].flatMap((family) => family.samples)
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  )
  assert.equal(found.length, 1, `one series ${name} ${JSON.stringify(labels)}`)
  return found[0].value
}

module.exports = { parsePrometheus, sampleOf }
