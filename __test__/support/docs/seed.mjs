// What lies in Redis when a page's shell asks for it: some products, and the list of them.

import './world.mjs'

for (const id of [1, 2, 3, 7]) {
  await cache.getOrSet(`product:${id}`, () => db.products.find(id), { tags: ['products'] })
}
await cache.getOrSet('products:all', () => db.products.all(), { tags: ['products'] })
await cache.close()
