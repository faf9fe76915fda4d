'use strict'
// A real browser: Chromium, driven through playwright-core. What it says on its console is kept.

const assert = require('node:assert/strict')
const { after, before, test } = require('node:test')
const { chromium } = require('playwright-core')
const { ensureChromium } = require('../../scripts/chromium.js')
const { mayInstall } = require('../../scripts/lib/apt.js')
const { startFleet } = require('./next-app.js')

const DESKTOP = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }

/**
 * Without a browser a developer's machine can do, and one where somebody said so. In CI, and where one can be installed, a
 * test that was not run must not look like one that passed.
 */
const mayBeMissing = () => !process.env.CI && !mayInstall()

/** Chromium, or `{ missing }` with the reason where it may be missing. */
async function startBrowser() {
  if (process.env.TIDECACHE_TEST_BROWSER === 'skip') return { missing: 'TIDECACHE_TEST_BROWSER is skip' }
  let executablePath
  try {
    executablePath = await ensureChromium({ stdout: 2 })
  } catch (error) {
    if (mayBeMissing()) return { missing: error.message }
    throw error
  }
  // Without its sandbox it runs as root, too; it sees our own pages only.
  return { browser: await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] }) }
}

/** A window of its own: no cookies, and `complaints` of its console and scripts. */
async function openPage(browser, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints = []
  page.on('console', (message) => {
    const { url } = message.location()
    if (['error', 'warning'].includes(message.type())) complaints.push(`${page.url()}: ${message.text()} (${url})`)
  })
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`))
  page.setDefaultTimeout(20_000)
  return { page, complaints, close: () => context.close() }
}

async function signIn(page, origin, name) {
  await page.goto(`${origin}/sign-in`)
  await page.getByRole('button', { name: new RegExp(name) }).click()
  await page.getByRole('button', { name: 'Sign out' }).waitFor()
}

const heading = (page) => page.getByRole('heading', { level: 1 })

/** Fills what is given into the form of a build, and saves it. */
async function fillBuild(page, { title, className, summary, skills }) {
  await page.getByLabel('Title').fill(title)
  if (className) await page.getByLabel('Class').selectOption(className)
  if (summary) await page.getByLabel('Plan').fill(summary)
  if (skills) await page.getByLabel('Skills').fill(skills)
  await page.getByRole('button', { name: 'Save' }).click()
}

/**
 * For a file of tests in the browser: `inBrowser(name, async (open, t) => …)` is a test, in which nothing may be said on
 * the console of a page that it opened. `fleet` has the replicas once tests run. Where a Chromium may be missing and is,
 * they are skipped, and say why.
 */
function browserTests() {
  const world = { fleet: {}, browser: undefined, missing: undefined }
  before(async () => {
    Object.assign(world, await startBrowser())
    if (world.missing === undefined) Object.assign(world.fleet, await startFleet())
  })
  after(async () => {
    await world.browser?.close()
    await world.fleet.stop?.()
  })

  function inBrowser(name, action) {
    test(name, async (t) => {
      if (world.missing !== undefined) return t.skip(world.missing)
      const pages = []
      t.after(() => Promise.all(pages.map(({ close }) => close())))
      const open = async (options) => {
        pages.push(await openPage(world.browser, { viewport: DESKTOP, ...options }))
        return pages.at(-1)
      }
      await action(open, t)
      for (const { complaints } of pages) assert.deepEqual(complaints, [])
    })
  }
  return { fleet: world.fleet, inBrowser }
}

module.exports = { DESKTOP, PHONE, browserTests, fillBuild, heading, signIn }
