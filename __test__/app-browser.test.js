'use strict'
// examples/next-app as people see it: Chromium on two replicas.

const assert = require('node:assert/strict')
const { browserTests, fillBuild, heading, signIn } = require('./support/browser.js')
const { eventually, freshNamespace } = require('./support/kit.js')
const { Replica, sessionOf } = require('./support/next-app.js')
const { useProxy } = require('./support/proxy.js')

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
  await a.getByText('1 field needs another look.').waitFor()
  assert.equal(await a.evaluate(() => document.activeElement.id), 'title', 'the focus is on what is wrong')
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

inBrowser('who is signed in finds the page marked in the header, and can simulate visitors', async (open) => {
  const { page } = await open()
  await signIn(page, fleet.a.origin, 'Ayla')
  const marked = async (where) => {
    await page.goto(fleet.a.origin + where)
    return page.locator('.header [aria-current]').allTextContents()
  }
  assert.deepEqual(await marked('/users/1'), ['Ayla'])
  assert.deepEqual(await marked('/users/10'), [])
  assert.deepEqual(await marked('/builds/44'), ['Builds'])
  assert.deepEqual(await marked('/metrics'), ['Metrics'])

  const hits = async () => (await fleet.a.fleet()).own.metrics.hits
  const before = await hits()
  await page.getByRole('button', { name: 'Simulate visitors' }).click()
  await eventually(async () => (await hits()) > before + 50, 5_000, 'they read')
})

inBrowser('a page that fails says so, also when its layout does, and is shown when it can be', async (open, t) => {
  const proxy = await useProxy(t, new URL(fleet.postgres.url).port)
  await proxy.cut()
  const address = Object.assign(new URL(fleet.postgres.url), { port: proxy.port }).href
  const env = { ...fleet.env, DATABASE_URL: address, TIDECACHE_NAMESPACE: freshNamespace() }
  const cut = await new Replica('cut').start(env)
  t.after(() => cut.stop())
  const { page, complaints } = await open()
  const isSaid = () => heading(page).getByText('That did not work', { exact: true }).waitFor()

  await page.goto(cut.origin)
  await isSaid()
  assert.equal(await page.getByRole('link', { name: 'Sign in' }).count(), 1, 'the layout is there')
  const [name, value] = sessionOf(1).split('=')
  await page.context().addCookies([{ name, value, url: cut.origin }])
  await page.goto(cut.origin)
  await isSaid()
  assert.equal(await page.title(), 'That did not work · Tidehall')
  assert.equal(await page.locator('.header').count(), 0, 'it stands for the layout')
  await proxy.heal()
  await page.getByRole('button', { name: 'Try again' }).click()
  await heading(page).getByText('Builds', { exact: true }).waitFor()

  assert.ok(complaints.length > 0)
  complaints.length = 0 // the answers 500
})

inBrowser('the metrics page updates by itself, and sums up both replicas', async (open) => {
  const { page } = await open()
  await page.goto(`${fleet.a.origin}/metrics`)
  const rows = page.locator('.replicas tbody tr')
  await rows.nth(1).waitFor()
  const readsSaid = () => page.getByText(/^of [\d,]+ reads$/).textContent()
  const before = await readsSaid()

  assert.equal(await page.getByRole('button', { name: 'Simulate visitors' }).count(), 0, 'nobody is signed in')
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
