'use strict'
// Every code block of README.md and docs/ does what its page says: JavaScript runs against a real Redis, and prints
// what its `// → …` comments promise; TypeScript compiles; what a shell is told to do can be done.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const { existsSync, readdirSync, readFileSync, writeFileSync } = require('node:fs')
const { after, before, describe, test } = require('node:test')
const path = require('node:path')
const { createCache } = require('..')
const { tool } = require('../scripts/lib/run.js')
const { blocksOf, keepsPromise } = require('./support/docs/blocks.js')
const { makeFolder, run, runBash, runJs } = require('./support/docs/run.js')
const { startRedis } = require('./support/redis.js')
const { ROOT, cleanEnvironment } = require('./support/script.js')

const PAGES = ['README.md', ...readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
)
const RUN = { js: runJs, mjs: runJs, cjs: runJs, bash: runBash, sh: runBash }
/** Nothing can be run here; what is in them is for the eye. */
const SHOWN = ['text', 'json', 'yaml', 'dockerfile', 'redis', 'promql']
/** Compiled in an application of Next.js, by next-isr.test.js. */
const NEXT_PAGE = 'docs/nextjs.md'
const MOST_NOT_RUN = 4

const pages = PAGES.map((name) => ({ name, text: readFileSync(path.join(ROOT, name), 'utf8') }))
const blocks = pages.flatMap(({ name, text }) => blocksOf(text).map((block) => ({ page: name, ...block })))
const titleOf = ({ page, line, lang }) => `${page}:${line} ${lang}`

const here = {}

before(async () => {
  Object.assign(here, makeFolder())
  here.redis = await startRedis()
})

after(async () => {
  here.remove?.()
  await here.redis?.stop()
})

const flush = () => here.redis.command('FLUSHALL')

async function runBlock(block) {
  try {
    const { code, stdout, stderr } = await RUN[block.lang](block, here)
    assert.equal(code, 0, `ended with ${code}:\n${stdout}${stderr}`)
    assert.equal(stderr, '')
    assert.ok(keepsPromise(block, stdout), `not what it says it prints:\n${stdout}`)
  } finally {
    process.kill(here.redis.pid, 'SIGCONT') // a block about outages may have paused it
    await flush().catch(flush) // one about lost connections may have ended ours
  }
}

describe('code that runs', () => {
  for (const block of blocks.filter(({ lang, notRun }) => notRun === undefined && lang in RUN)) {
    test(titleOf(block), () => runBlock(block))
  }
})

test('code in TypeScript compiles, under strict', async () => {
  const files = blocks.filter(({ lang, notRun }) => notRun === undefined && lang === 'ts')

  const names = files.map((block) => {
    const name = `${block.page.replace(/\W/g, '-')}-${block.line}.mts`
    // The same line numbers as in the page, so that an error names them.
    const head = `${'\n'.repeat(block.line - 2)}export {}; ${(block.before ?? '').replaceAll('\n', ' ')}\n`
    writeFileSync(path.join(here.folder, name), head + block.code)
    return name
  })
  const base = path.join(ROOT, 'tsconfig.json')
  const world = path.join(ROOT, '__test__', 'support', 'docs', 'world.d.ts')
  const compilerOptions = { lib: ['es2022'], skipLibCheck: true }
  const config = { extends: base, compilerOptions, include: [], files: [world, ...names] }
  writeFileSync(path.join(here.folder, 'tsconfig.json'), JSON.stringify(config))

  const env = cleanEnvironment()
  const { code, stdout } = await run(process.execPath, [tool('typescript', 'tsc'), '-p', '.'], {
    cwd: here.folder,
    env,
  })

  assert.equal(code, 0, stdout)
})

test('every block names a language that is run, compiled or only shown', () => {
  const isKnown = ({ lang, page }) =>
    lang in RUN || lang === 'ts' || SHOWN.includes(lang) || (lang === 'tsx' && page === NEXT_PAGE)
  const unknown = blocks.filter((block) => !isKnown(block))
  assert.deepEqual(unknown.map(titleOf), [])
})

test('what is not run says why, and is rare', () => {
  const notRun = blocks.filter(({ notRun }) => notRun !== undefined)
  for (const block of notRun) assert.ok(block.notRun.length > 10, titleOf(block))
  assert.ok(notRun.length <= MOST_NOT_RUN, notRun.map(titleOf).join(', '))
})

test('JavaScript that is not run parses', () => {
  for (const { code, before = '', line } of blocks.filter(
    ({ lang, notRun }) => notRun !== undefined && RUN[lang] === runJs,
  )) {
    const file = path.join(here.folder, `not-run-${line}.mjs`)
    writeFileSync(file, `${before}\n${code}`)
    execFileSync(process.execPath, ['--check', file], { env: cleanEnvironment() })
  }
})

test('a block of JSON is JSON', () => {
  for (const { code } of blocks.filter(({ lang }) => lang === 'json')) JSON.parse(code)
})

/** Headings as GitHub makes anchors of them. */
const anchorsOf = (text) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

test('links between pages lead somewhere', () => {
  for (const { name, text } of pages) {
    for (const [, link] of text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file, anchor] = link.split('#')
      const target = file === '' ? path.join(ROOT, name) : path.join(ROOT, path.dirname(name), file)
      assert.ok(existsSync(target), `${name}: ${link}`)
      if (anchor === undefined || !target.endsWith('.md')) continue
      assert.ok(anchorsOf(readFileSync(target, 'utf8')).includes(anchor), `${name}: ${link}`)
    }
  }
})

test('metrics that pages name for Prometheus are there', async (t) => {
  const cache = createCache({ redis: here.redis.url })
  t.after(() => cache.close())
  const exposed = await cache.metrics({ format: 'prometheus' })
  for (const { name, text } of pages) {
    for (const [metric] of text.matchAll(/\btidecache_\w+/g)) {
      if (metric !== 'tidecache_') assert.match(exposed, new RegExp(`^${metric}[ {]`, 'm'), `${name}: ${metric}`)
    }
  }
})

const declarations = ['index.d.ts', 'testing.d.ts']
  .map((name) => readFileSync(path.join(ROOT, name), 'utf8'))
  .join('\n')

/** The names that an interface declares, of its own. */
function membersOf(name) {
  const body = declarations.match(new RegExp(`^export interface ${name}\\b[^{]*{\\n([\\s\\S]*?)^}`, 'm'))[1]
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?]?[:(<]/gm)].map(([, member]) => member)
}

/** What the first cells of a page's tables name. */
function namedIn(page) {
  const { text } = pages.find(({ name }) => name === page)
  const cells = [...text.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell]) => cell)
  return new Set(cells.flatMap((cell) => [...cell.matchAll(/`(?:\w+…?\.)*\.?(\w+)/g)].map(([, name]) => name)))
}

for (const [page, interfaces] of [
  ['docs/options.md', ['CacheOptions', 'RedisOptions', 'EntryOptions', 'LoadContext']],
  ['docs/metrics.md', ['CacheEvents']],
  ['docs/tags-and-patterns.md', ['InvalidateTarget', 'InvalidateOptions']],
  ['docs/testing.md', ['TestCache']],
]) {
  test(`${page} names every member of ${interfaces.join(', ')}`, () => {
    const named = namedIn(page)
    const { text } = pages.find(({ name }) => name === page)
    const missing = interfaces.flatMap(membersOf).filter((name) => !named.has(name) && !text.includes(`{ ${name}:`))
    assert.deepEqual(missing, [])
  })
}

test('every method of a cache is called in some block', () => {
  const called = new Set(blocks.flatMap(({ code }) => [...code.matchAll(/\.(\w+)[(<]/g)].map(([, name]) => name)))
  assert.deepEqual(
    membersOf('Cache').filter((name) => !called.has(name)),
    [],
  )
})
