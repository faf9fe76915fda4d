// What the database holds at first: 12 classes, and 2,400 builds that 200 players made and liked. The same at every run.

export const BUILDS = 2_400
const USERS = 200
const MOST_LIKES = 40

/** Who a visitor may sign in as: the first of the players, and an administrator. */
export const DEMO_USERS = [
  { id: 1, name: 'Ayla' },
  { id: 2, name: 'Bram' },
  { id: 3, name: 'Corvus' },
  { id: 4, name: 'Dagny' },
  { id: 5, name: 'Odin', isAdmin: true },
]

type Seed = [name: string, tags: string[], description: string]

const CLASSES: Seed[] = [
  ['Alchemist', ['ranged', 'support'], 'Brews what heals and what dissolves, and keeps the two flasks apart. Mostly.'],
  ['Berserker', ['damage', 'melee'], 'Hits harder the closer the end comes. Healers have opinions about this.'],
  ['Blademaster', ['damage', 'melee'], 'Answers every blow with two, and bows before the first.'],
  ['Cleric', ['ranged', 'support'], 'Keeps the others standing, and reminds them of it.'],
  ['Druid', ['ranged', 'shapeshifter', 'support'], 'Is the wood, when need be. And the bear in it.'],
  ['Elementalist', ['damage', 'ranged'], 'Whatever the question was, fire is the answer.'],
  ['Necromancer', ['damage', 'ranged', 'summoner'], 'Starts alone. Is not alone for long.'],
  ['Paladin', ['melee', 'tank'], 'Stands where it is hardest, in polished plate.'],
  ['Ranger', ['damage', 'ranged'], 'You never saw the arrow. That was the idea.'],
  ['Rogue', ['damage', 'melee'], 'Was never here at all, and has witnesses.'],
  ['Warden', ['melee', 'tank'], 'Holds the gate. Has held it since Tuesday.'],
  ['Warlock', ['damage', 'ranged', 'summoner'], 'Takes the power now and pays later, with interest.'],
]

const MOODS = [
  'Ashen',
  'Crimson',
  'Frostbound',
  'Gilded',
  'Hollow',
  'Howling',
  'Moonlit',
  'Relentless',
  'Silent',
  'Sunken',
]
const THINGS = ['Bulwark', 'Duelist', 'Harvest', 'Oath', 'Pyre', 'Requiem', 'Tempest', 'Thorns', 'Vigil', 'Whisper']
const PLACES = ['', '', '', ' at Dawn', ' at Dusk', ' Below', ' of the Reach', ' of the Tide']
const NAMES = ['Eskil', 'Fenna', 'Gorm', 'Hilda', 'Ivo', 'Juna', 'Kestrel', 'Lys', 'Maren', 'Njal', 'Runa', 'Sten']
const OPENERS = ['Open with', 'Build up with', 'Wait behind', 'Lead with', 'Bait them with']
const CLOSERS = ['then end it with', 'and answer with', 'and hold until', 'then vanish after', 'and never skip']
const SKILLS = [
  'Undertow', 'Iron Vow', 'Cinder Step', 'Grave Bloom', 'Long Shadow', 'Riptide', 'Stone Skin', 'Second Wind', 'Hex of Salt',
  'Thunderhead', 'Quiet Hands', 'Last Light', 'Bramble Wall', 'Sea Glass', 'Blood Price', 'North Star',
] // biome-ignore format: a list of names

const NEWEST = Date.parse('2026-01-05T12:00:00Z')
const MINUTE = 60_000

/** mulberry32: numbers in [0, 1). */
function seeded(seed: number) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function makeUsers(random: () => number) {
  const players = Array.from({ length: USERS - DEMO_USERS.length }, (_, i) => {
    const id = DEMO_USERS.length + 1 + i
    return { id, name: `${NAMES[i % NAMES.length]}${10 + Math.floor(random() * 90)}`, is_admin: false }
  })
  return [...DEMO_USERS.map(({ id, name, isAdmin = false }) => ({ id, name, is_admin: isAdmin })), ...players]
}

function makeBuilds(random: () => number) {
  const below = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(list: readonly T[]) => list[below(list.length)] as T
  const three = () => [...SKILLS].sort(() => random() - 0.5).slice(0, 3)
  return Array.from({ length: BUILDS }, (_, i) => {
    const skills = three()
    return {
      id: i + 1,
      title: `${pick(MOODS)} ${pick(THINGS)}${pick(PLACES)}`,
      class: pick(CLASSES)[0],
      user_id: 1 + below(USERS),
      summary: `${pick(OPENERS)} ${skills[0]}, ${pick(CLOSERS)} ${skills[1]}.`,
      skills,
      attributes: Array.from({ length: 5 }, () => 6 + below(15)),
      likes: Math.floor(MOST_LIKES * random() ** 4),
      created_at: new Date(NEWEST - (BUILDS - i) * 160 * MINUTE - below(150) * MINUTE).toISOString(),
      updated_at: new Date(NEWEST - below(400_000) * MINUTE).toISOString(),
    }
  }).map((build) => ({
    ...build,
    updated_at: build.updated_at < build.created_at ? build.created_at : build.updated_at,
  }))
}

/** Who likes a build: as many players as its count says, from a random one on. */
function makeLikes(random: () => number, builds: { id: number; likes: number }[]) {
  return builds.flatMap(({ id, likes }) => {
    const first = Math.floor(random() * USERS)
    return Array.from({ length: likes }, (_, i) => ({ user_id: 1 + ((first + i) % USERS), build_id: id }))
  })
}

const SCHEMA = `
  CREATE TABLE classes (name text PRIMARY KEY, tags text[] NOT NULL, description text NOT NULL);
  CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, is_admin boolean NOT NULL);
  CREATE TABLE builds (
    id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY (START WITH ${BUILDS + 1}),
    title text NOT NULL,
    class text NOT NULL REFERENCES classes (name),
    user_id integer NOT NULL REFERENCES users (id),
    summary text NOT NULL,
    skills text[] NOT NULL,
    attributes integer[] NOT NULL,
    likes integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX ON builds (user_id);
  CREATE INDEX ON builds (class);
  CREATE TABLE likes (
    user_id integer NOT NULL REFERENCES users (id),
    build_id integer NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, build_id)
  );`

/** Two replicas that start at once must not both fill the database: the second waits here, and finds it filled. */
const ONE_AT_A_TIME = 'SELECT pg_advisory_xact_lock(71984)'

/** Executes SQL inside one transaction. */
export type Execute = (sql: string, parameters?: unknown[]) => Promise<{ rows: Record<string, unknown>[] }>

/** Fills the database unless it is filled. */
export async function seed(execute: Execute, executeMany: (sql: string) => Promise<unknown>) {
  await execute(ONE_AT_A_TIME)
  const { rows } = await execute(`SELECT to_regclass('builds') IS NOT NULL AS filled`)
  if (rows[0]?.filled === true) return

  const random = seeded(12)
  const classes = CLASSES.map(([name, tags, description]) => ({ name, tags, description }))
  const [users, builds] = [makeUsers(random), makeBuilds(random)]
  const tables = { classes, users, builds, likes: makeLikes(random, builds) }
  await executeMany(SCHEMA)
  for (const [name, content] of Object.entries(tables)) {
    const insert = `INSERT INTO ${name} SELECT * FROM json_populate_recordset(NULL::${name}, $1::json)`
    await execute(insert, [JSON.stringify(content)])
  }
}
