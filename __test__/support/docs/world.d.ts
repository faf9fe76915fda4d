// What the reader of a page has at hand, for the blocks in TypeScript: see world.mjs.

import type { Cache } from '../../../index.js'

interface Table<Row> {
  find(id: string | number): Promise<Row | null>
  findMany(ids: readonly (string | number)[]): Promise<Row[]>
  all(): Promise<Row[]>
  insert(row: Omit<Row, 'id'>): Promise<Row>
  update(id: string | number, change: Partial<Row>): Promise<Row>
  delete(id: string | number): Promise<boolean>
}

declare global {
  interface Product {
    id: number
    name: string
    price: number
    stock: number
    updatedAt: Date
  }
  interface User {
    id: number
    name: string
    email: string
  }
  const db: { queries: number; products: Table<Product>; users: Table<User> }
  const cache: Cache
}
