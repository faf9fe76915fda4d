'use strict'
// Who asks for what: reads by Zipf's law, and two changes in a hundred requests. The same requests at every run.

const { seeded } = require('../lib/seeded.js')

const BUILDS = 2_000
const EXPONENT = 0.99
const CHANGES = 0.02
const CLASSES = ['Alchemist', 'Berserker', 'Blademaster', 'Cleric', 'Druid', 'Elementalist', 'Necromancer', 'Paladin']
const VISITORS = [1, 2, 3, 4, 5]

/** Ranks from 1 to `count`; rank n is drawn in proportion to 1 / n^s. */
function zipf(count, random, exponent = EXPONENT) {
  const sums = new Float64Array(count)
  let sum = 0
  for (let rank = 1; rank <= count; rank++) sums[rank - 1] = sum += rank ** -exponent
  return () => {
    const wanted = random() * sum
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle] < wanted) low = middle + 1
      else high = middle
    }
    return low + 1
  }
}

/** Lists, the often wanted ones first: the newest, the most liked, then pages and classes. */
function lists() {
  const pages = Array.from({ length: 12 }, (_, i) => `/?page=${i + 2}`)
  return [
    '/',
    '/?sort=liked',
    ...pages,
    ...CLASSES.flatMap((name) => [`/?class=${name}`, `/?class=${name}&sort=liked`]),
  ]
}

/** Popularity must have nothing to do with age: neighbours in rank are far apart in the database. */
const buildOfRank = (rank) => 1 + ((rank * 769) % BUILDS)

class Mix {
  #random
  #rank
  #list
  #lists = lists()
  /** Builds that were made here, and may be deleted. */
  #made = []

  constructor(seed) {
    this.#random = seeded(seed)
    this.#rank = zipf(BUILDS, this.#random)
    this.#list = zipf(this.#lists.length, this.#random)
  }

  /** @returns {{ path: string } | { change: string, visitor: number, id?: number }} */
  next() {
    if (this.#random() < CHANGES) return this.#change()
    const kind = this.#random()
    if (kind < 0.75) return { path: `/builds/${buildOfRank(this.#rank())}` }
    return { path: kind < 0.97 ? this.#lists[this.#list() - 1] : '/classes' }
  }

  /** Every page that reads can ask for, the often wanted ones first. */
  all() {
    const builds = Array.from({ length: BUILDS }, (_, i) => `/builds/${buildOfRank(i + 1)}`)
    return ['/classes', ...this.#lists, ...builds]
  }

  made(id) {
    this.#made.push(id)
  }

  #change() {
    const kind = this.#random()
    const visitor = VISITORS[Math.floor(this.#random() * VISITORS.length)]
    const id = buildOfRank(this.#rank())
    if (kind < 0.75) return { change: 'toggleLike', visitor, id }
    if (kind < 0.95) return { change: 'updateBuild', visitor: 5, id }
    if (kind < 0.975 || this.#made.length === 0) return { change: 'createBuild', visitor }
    return { change: 'deleteBuild', visitor: 5, id: this.#made.shift() }
  }
}

module.exports = { BUILDS, CHANGES, EXPONENT, Mix }
