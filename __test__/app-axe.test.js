'use strict'
// examples/next-app is for everybody: axe finds no serious fault, nothing is said on the console, nothing scrolls sideways.

const assert = require('node:assert/strict')
const axe = require('axe-core')
const { DESKTOP, PHONE, browserTests, signIn } = require('./support/browser.js')

const PAGES = [
  '/',
  '/?class=Druid&sort=liked',
  '/builds/44',
  '/builds/44/edit',
  '/builds/new',
  '/users/1',
  '/classes',
  '/metrics',
  '/sign-in',
]

const { fleet, inBrowser } = browserTests()

async function seriousOf(page) {
  const { violations } = await page.evaluate(() => globalThis.axe.run())
  const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
  return serious.map(({ id, nodes }) => `${page.url()} ${id}: ${nodes.map(({ target }) => target).join(' ')}`)
}

const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth

inBrowser('axe finds a fault where there is one', async (open) => {
  const { page } = await open()
  // A page of its own: React would complain of a fault that is put into its page before it has hydrated.
  await page.setContent('<html lang="en"><title>Fault</title><main><h1>Fault</h1><input></main></html>')
  await page.evaluate(axe.source)
  const [fault] = await seriousOf(page)
  assert.match(fault, /label: .*input/)
})

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    inBrowser(
      `no page has a serious fault for axe, a console error or a sideways scroll: ${size}, ${colorScheme}`,
      async (open) => {
        const { page } = await open({ viewport, colorScheme })
        await page.addInitScript(axe.source)
        await signIn(page, fleet.a.origin, 'Odin')
        for (const where of PAGES) {
          await page.goto(fleet.a.origin + where)
          assert.deepEqual(await seriousOf(page), [])
          assert.equal(await page.evaluate(overflow), 0, where)
        }
      },
    )
  }
}
