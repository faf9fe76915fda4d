// getOrSetMany, wrap, namespace and inspect against the types. Compiled, never run.

import {
  type Cache,
  createCache,
  type EntryOptions,
  type GetOptions,
  type Inspection,
  type InvalidateReceipt,
  type LoadContext,
  type ManyLoader,
  type ManyResult,
  type Result,
  type Wrapped,
  type WrapOptions,
} from 'tidecache'

interface Build {
  id: number
  name: string
}

/** Fails to compile unless the two types are the same. */
type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false
function same<A, B>(_: Same<A, B>): void {}

const cache: Cache = createCache({ redis: false })
const build: Build = { id: 1, name: 'a' }
/** A promise in all but name, as query builders return. */
declare const thenable: PromiseLike<Build>
declare const mapThenable: PromiseLike<ReadonlyMap<string, number>>

export async function inferenceOfValues(): Promise<void> {
  const sync = await cache.getOrSet('k', () => build)
  same<typeof sync, Build>(true)
  const promised = await cache.getOrSet('k', async () => build)
  same<typeof promised, Build>(true)
  const query = await cache.getOrSet('k', () => thenable)
  same<typeof query, Build>(true)
  const nothing = await cache.getOrSet('k', async () => (build.id === 1 ? build : null))
  same<typeof nothing, Build | null>(true)
  const union = await cache.getOrSet('k', () => (build.id === 1 ? build : thenable))
  same<typeof union, Build>(true)
  const given = await cache.getOrSet<Build>('k', () => build)
  same<typeof given, Build>(true)
  // @ts-expect-error the loader does not make a string
  const wrong: string = await cache.getOrSet('k', () => build)
  // @ts-expect-error what the type says is what the loader has to make
  await cache.getOrSet<Build>('k', () => ({ id: 1 }))
  // @ts-expect-error a loader is a function
  await cache.getOrSet('k', Promise.resolve(build))
  // @ts-expect-error a key is text
  await cache.getOrSet(['k', 1], () => build)
  console.log(wrong)
}

export async function many(): Promise<void> {
  // From a Map, a record, promised or thenable.
  const ids: string[] = ['a', 'b']
  const fromMap = await cache.getOrSetMany(ids, (keys) => new Map(keys.map((key) => [key, build])))
  same<typeof fromMap, Map<string, Build>>(true)
  const fromAsync = await cache.getOrSetMany(ids, async (keys) => new Map(keys.map((key) => [key, build] as const)))
  same<typeof fromAsync, Map<string, Build>>(true)
  const fromRecord = await cache.getOrSetMany(ids, (keys) => Object.fromEntries(keys.map((key) => [key, build])))
  same<typeof fromRecord, Map<string, Build>>(true)
  const fromThenable = await cache.getOrSetMany(ids, () => mapThenable)
  same<typeof fromThenable, Map<string, number>>(true)

  // Keys as literals.
  const keys = ['build:1', 'build:2'] as const
  const literalMap = await cache.getOrSetMany(keys, async (missing) => {
    return new Map(await Promise.all(missing.map(async (key) => [key, build.name] as const)))
  })
  same<typeof literalMap, Map<(typeof keys)[number], string>>(true)
  const literal = await cache.getOrSetMany(keys, async () => ({ 'build:1': build }))
  same<typeof literal, Map<'build:1' | 'build:2', Build>>(true)
  interface Rows {
    readonly 'build:1': Build
    'build:2': Build
  }
  const rows = await cache.getOrSetMany(keys, async (): Promise<Rows> => ({ 'build:1': build, 'build:2': build }))
  same<typeof rows, Map<'build:1' | 'build:2', Build>>(true)
  // @ts-expect-error nobody asked for that key
  await cache.getOrSetMany(keys, (): ManyResult<(typeof keys)[number], Build> => ({ 'build:3': build }))
  const some: Partial<Record<'build:1' | 'build:2', Build>> = {}
  const partial = await cache.getOrSetMany(keys, () => some)
  same<typeof partial, Map<'build:1' | 'build:2', Build>>(true)
  const one: Build | undefined = literal.get('build:1')
  // @ts-expect-error nobody asked for that key
  literal.get('build:3')
  // @ts-expect-error a key may be missing
  const sure: Build = literal.get('build:1')
  const templates = ids.map((id) => `build:${id}` as const)
  const loader: ManyLoader<`build:${string}`, Build> = async (asked, ctx: LoadContext) => {
    same<typeof asked, `build:${string}`[]>(true)
    ctx.tag('builds')
    return new Map(asked.map((key) => [key, build]))
  }
  const typed = await cache.getOrSetMany(templates, loader, { ttl: '1m', tags: ['builds'] })
  same<typeof typed, Map<`build:${string}`, Build>>(true)

  // @ts-expect-error keys are a list
  await cache.getOrSetMany('a', async () => new Map())
  // @ts-expect-error keys are text
  await cache.getOrSetMany([1, 2], async () => new Map<string, Build>())
  // @ts-expect-error a list does not say which value is whose
  await cache.getOrSetMany(ids, async () => [build])
  // @ts-expect-error there has to be a loader
  await cache.getOrSetMany(ids)
  // @ts-expect-error an unknown option
  await cache.getOrSetMany(ids, loader, { tll: '5m' })
  console.log(one, sure)
}

export async function wrap(): Promise<void> {
  const findBuild = async (id: number, lang?: string): Promise<Build> => ({ id, name: lang ?? '' })

  // Parameters of key and tags are those of the function.
  const getBuild = cache.wrap(findBuild, {
    key: (id, lang) => {
      same<typeof id, number>(true)
      same<typeof lang, string | undefined>(true)
      return `build:${id}:${lang}`
    },
    tags: (id) => ['builds', `build:${id}`] as const,
    ttl: '5m',
  })
  const found = await getBuild(1)
  same<typeof found, Build>(true)
  same<ReturnType<typeof getBuild>, Promise<Build>>(true)
  same<Parameters<typeof getBuild>, Parameters<typeof findBuild>>(true)
  const key: string = getBuild.key(1, 'de')
  const receipt: InvalidateReceipt = await getBuild.invalidate(1)
  const passed: Wrapped<[number, string?], Build> = getBuild
  // @ts-expect-error the argument is a number
  await getBuild('1')
  // @ts-expect-error there are two at most
  await getBuild(1, 'de', true)
  // @ts-expect-error its key is made of the same arguments
  getBuild.key('1')
  // @ts-expect-error and so is its invalidation
  await getBuild.invalidate()

  // Synchronous functions, thenables, functions of no arguments, rest parameters.
  const square = cache.wrap((n: number) => n * n, { key: (n) => `square:${n}` })
  same<ReturnType<typeof square>, Promise<number>>(true)
  const query = cache.wrap((id: number) => (id === 1 ? thenable : build), { key: (id) => `query:${id}` })
  same<ReturnType<typeof query>, Promise<Build>>(true)
  const all = cache.wrap(async () => [build], { key: 'builds', tags: ['builds'] as const })
  same<ReturnType<typeof all>, Promise<Build[]>>(true)
  const today = cache.wrap(async () => [build], { key: () => `builds:${new Date().getDay()}` })
  await today.invalidate()
  const sum = cache.wrap((...numbers: number[]) => numbers.length, { key: (...numbers) => numbers.join() })
  await sum(1, 2, 3)

  const frozen = { key: (id: number) => `b:${id}`, tags: ['a', 'b'], ttl: '1m' } as const satisfies WrapOptions<
    [number]
  >
  await cache.wrap(async (id: number) => id, frozen)(1)

  // @ts-expect-error a constant key would give everybody the first caller's value
  cache.wrap(findBuild, { key: 'build' })
  // @ts-expect-error also where all parameters may be left out
  cache.wrap(async (page?: number) => page, { key: 'builds' })
  // @ts-expect-error a key is needed
  cache.wrap(findBuild, { ttl: '5m' })
  // @ts-expect-error and is text
  cache.wrap(findBuild, { key: (id) => id })
  // @ts-expect-error tags are a list
  cache.wrap(findBuild, { key: (id) => `b:${id}`, tags: (id) => `b:${id}` })
  // @ts-expect-error the key asks for more than the function is given
  cache.wrap(async () => 1, { key: (id: number) => `b:${id}` })
  // @ts-expect-error an unknown option
  cache.wrap(findBuild, { key: (id) => `b:${id}`, tll: '5m' })
  // @ts-expect-error it is called by its arguments, not with a function
  await cache.wrap('findBuild', { key: 'k' })
  console.log(key, receipt, passed)
}

export async function views(): Promise<void> {
  const view: Cache = cache.namespace('users').namespace('admins')
  await view.getOrSet('1', () => build)
  view.on('hit', ({ key, view: name }) => console.log(key.length, name?.length)).off('miss', () => {})
  // @ts-expect-error a view has a name
  cache.namespace()
  // @ts-expect-error which is text
  cache.namespace(7)
}

export async function inspect(): Promise<void> {
  const seen: Inspection | undefined = await cache.inspect('k', { version: 2 })
  if (seen !== undefined) {
    const { tier, age, state, tags, bytes } = seen
    same<typeof tier, 'memory' | 'redis'>(true)
    same<typeof state, 'fresh' | 'stale'>(true)
    same<typeof tags, string[]>(true)
    console.log(age + bytes)
  }
  // @ts-expect-error there may be nothing
  console.log((await cache.inspect('k')).tier)
  // @ts-expect-error it only knows the version
  await cache.inspect('k', { ttl: '5m' })
}

export async function options(): Promise<void> {
  const tags = ['a', 'b'] as const
  const fixed = { ttl: '5m', tags, version: 2, validate: (v: unknown) => v !== null } as const satisfies EntryOptions
  await cache.getOrSet('k', () => build, fixed)
  await cache.set('k', build, { version: 'v2', tags })
  const reading: GetOptions = { version: 1, validate: (value) => typeof value === 'object' }
  await cache.get<Build>('k', reading)
  const isBuild = (value: unknown): value is Build => typeof value === 'object'
  await cache.get<Build>('k', { validate: isBuild })
  await cache.getOrSet('k', () => build, { onResult: ({ outcome }: Result, key) => console.log(outcome, key.length) })
  const keys = ['k', 'l'] as const
  await cache.invalidate({ keys, tags, pattern: 'user:*' }, { settle: '5s' })

  // @ts-expect-error a version is text or a number
  await cache.getOrSet('k', () => build, { version: true })
  // @ts-expect-error a promise would always be true
  await cache.getOrSet('k', () => build, { validate: async () => true })
  // @ts-expect-error a list of tags, not one
  await cache.getOrSet('k', () => build, { tags: 'a' })
  // @ts-expect-error the target has to be one that exists
  await cache.invalidate({ patterns: ['user:*'] })
  // @ts-expect-error a mode that does not exist
  await cache.invalidate('k', { mode: 'soft' })
  // @ts-expect-error nothing is stored by get
  await cache.get('k', { ttl: '5m' })
}
