'use strict'
// What a server action changes on one replica is what the browser sees on the other, at once and always.

const assert = require('node:assert/strict')
const { browserTests, fillBuild, heading, signIn } = require('./support/browser.js')

const CHANGES = 200

const { fleet, inBrowser } = browserTests()

/** From the build's page to its author's: the titles of the builds there. */
async function listOf(page) {
  const author = page.locator('.build-main .card-meta a')
  const name = await author.textContent()
  await author.click()
  await heading(page).getByText(name, { exact: true }).waitFor()
  return page.locator('.card-title').allTextContents()
}

/** And from there back to the build's: its title. */
async function pageOf(page) {
  await page.locator('.card-title a[href="/builds/46"]').first().click()
  await page.waitForURL(/\/builds\/46$/)
  await page.locator('.build-main h1').waitFor()
  return [await heading(page).textContent()]
}

inBrowser(`a server action on A is seen on B at the next navigation: ${CHANGES} of ${CHANGES}`, async (open, t) => {
  const { page: a } = await open()
  const { page: b } = await open()
  await signIn(a, fleet.a.origin, 'Odin')
  await b.goto(`${fleet.b.origin}/builds/46`)
  await a.goto(`${fleet.a.origin}/builds/46`)
  let seen = 0
  for (let change = 1; change <= CHANGES; change++) {
    const title = `Vigil ${change} of the Tide`
    await a.getByRole('link', { name: 'Edit' }).click()
    await a.waitForURL(/edit$/)
    await fillBuild(a, { title })
    await a.waitForURL(/\/builds\/46$/)
    await heading(a).getByText(title, { exact: true }).waitFor() // the action has answered, with the page

    const shown = await (change % 2 === 1 ? listOf(b) : pageOf(b))
    if (shown.includes(title)) seen++
    else t.diagnostic(`change ${change}: ${shown.join(', ')}`)
  }
  assert.equal(seen, CHANGES)
})
