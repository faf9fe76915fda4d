'use strict'
// examples/next-app as people see it: Chromium on two replicas.

const assert = require('node:assert/strict')
const { browserTests, fillBuild, heading, signIn } = require('./support/browser.js')
const { eventually } = require('./support/kit.js')

const { fleet, inBrowser } = browserTests()

inBrowser('a build is made, refused, changed, liked and deleted on A, and B shows each', async (open) => {
  const { page: a } = await open()
  const { page: b } = await open()
  await signIn(a, fleet.a.origin, 'Ayla')

  await a.goto(`${fleet.a.origin}/builds/new`)
  await fillBuild(a, {
    title: '   ab   ',
    className: 'Warden',
    summary: 'Hold the gate until the ebb.',
    skills: 'Undertow',
  })
  await a.getByText('The title needs at least 3 characters.').waitFor()
  assert.equal(await a.getByLabel('Plan').inputValue(), 'Hold the gate until the ebb.', 'what was sent is still there')
  await fillBuild(a, { title: 'Song of the Ebb' })
  await a.waitForURL(/\/builds\/\d+$/)
  const where = new URL(a.url()).pathname
  await b.goto(fleet.b.origin)
  assert.equal(await b.locator('.card-title').first().textContent(), 'Song of the Ebb', 'the newest of all builds')

  await a.getByRole('link', { name: 'Edit' }).click()
  await fillBuild(a, { title: 'Song of the Flood' })
  await a.waitForURL(/\/builds\/\d+$/)
  await b.goto(fleet.b.origin + where)
  assert.equal(await heading(b).textContent(), 'Song of the Flood')
  assert.equal(await b.getByRole('link', { name: 'Edit' }).count(), 0, 'nobody is signed in there')

  const like = a.getByRole('button', { name: /Like/ })
  await like.click()
  await eventually(async () => (await like.getAttribute('aria-pressed')) === 'true' && (await like.isEnabled()))
  await eventually(async () => {
    await b.goto(fleet.b.origin + where)
    return (await b.getByRole('button', { name: /Like/ }).textContent()).includes('1')
  })

  await a.getByText('Delete …').click()
  await a.getByRole('button', { name: 'Delete it' }).click()
  await a.waitForURL(/\/users\/1$/)
  await heading(a).getByText('Ayla, that is you').waitFor()
  assert.equal((await fleet.b.request(where)).status, 404)
  assert.equal(await a.getByText('Song of the Flood').count(), 0)
})

inBrowser('the metrics page updates by itself, and sums up both replicas', async (open) => {
  const { page } = await open()
  await page.goto(`${fleet.a.origin}/metrics`)
  const rows = page.locator('.replicas tbody tr')
  await rows.nth(1).waitFor()
  const readsSaid = () => page.getByText(/^of [\d,]+ reads$/).textContent()
  const before = await readsSaid()

  for (let request = 0; request < 20; request++) await fleet.b.page('/builds/44')

  await eventually(async () => (await readsSaid()) !== before, 15_000, 'the sum has grown')
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('Paused').waitFor()
  const cells = async (row) =>
    (await row.locator('td.num').allTextContents()).map((text) => Number(text.replaceAll(',', '')))
  const [one, two] = [await cells(rows.nth(0)), await cells(rows.nth(1))]
  const sum = await cells(page.locator('.replicas tfoot tr'))
  for (const column of [1, 2, 3, 4]) assert.equal(one[column] + two[column], sum[column])
})
