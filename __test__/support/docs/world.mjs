// What the reader of a page has at hand: a database that counts its queries, a cache, and, where a page is about
// outages, the Redis server itself. Loaded before each block.

import { createCache } from '../../../index.js'

class Table {
  #rows
  #count

  constructor(count, rows) {
    this.#count = count
    this.#rows = new Map(rows.map((row) => [row.id, row]))
  }

  async #query(answer) {
    this.#count()
    await new Promise((resolve) => setTimeout(resolve, 2))
    return answer()
  }

  find(id) {
    return this.#query(() => structuredClone(this.#rows.get(Number(id)) ?? null))
  }

  findMany(ids) {
    const found = () => ids.map((id) => this.#rows.get(Number(id))).filter((row) => row !== undefined)
    return this.#query(() => structuredClone(found()))
  }

  all() {
    return this.#query(() => structuredClone([...this.#rows.values()]))
  }

  insert(row) {
    const id = this.#rows.size + 1
    return this.#query(() => this.#rows.set(id, { id, ...row }).get(id))
  }

  update(id, change) {
    return this.#query(() => Object.assign(this.#rows.get(Number(id)), change, { updatedAt: new Date() }))
  }

  delete(id) {
    return this.#query(() => this.#rows.delete(Number(id)))
  }
}

const updatedAt = new Date('2026-11-02T09:00:00Z')
const PRODUCTS = ['Lamp', 'Chair', 'Table', 'Shelf', 'Rug', 'Clock', 'Mirror', 'Vase', 'Stool'].map((name, i) => ({
  id: i + 1,
  name,
  price: 20 + 10 * i,
  stock: 5,
  updatedAt,
}))
const USERS = ['Ada', 'Grace', 'Edsger'].map((name, i) => ({
  id: i + 1,
  name,
  email: `${name.toLowerCase()}@example.com`,
}))

const count = () => {
  db.queries++
}
const db = { queries: 0, products: new Table(count, PRODUCTS), users: new Table(count, USERS) }

let cache

Object.assign(globalThis, {
  db,
  redis: {
    pause: () => process.kill(Number(process.env.DOCS_REDIS_PID), 'SIGSTOP'),
    resume: () => process.kill(Number(process.env.DOCS_REDIS_PID), 'SIGCONT'),
  },
})
Object.defineProperty(globalThis, 'cache', {
  configurable: true,
  get: () => (cache ??= createCache()),
})
