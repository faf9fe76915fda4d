'use strict'
// What the game's database holds: 12 classes and 2,000 builds of characters, the same at every run.

const BUILDS = 2_000

/** [name, role, description] */
const CLASSES = [
  ['Alchemist', 'support', 'Brews what heals friends and dissolves foes.'],
  ['Berserker', 'damage', 'Hits harder the closer death comes.'],
  ['Blademaster', 'damage', 'Answers every blow with a better one.'],
  ['Cleric', 'support', 'Keeps the others standing.'],
  ['Druid', 'support', 'Is the wood, when the wood needs it.'],
  ['Elementalist', 'damage', 'Never asks whether fire is the answer.'],
  ['Necromancer', 'damage', 'Is not alone for long.'],
  ['Paladin', 'tank', 'Stands where standing is hardest.'],
  ['Ranger', 'damage', 'Was here before you saw the arrow.'],
  ['Rogue', 'damage', 'Was never here at all.'],
  ['Warden', 'tank', 'Holds the gate.'],
  ['Warlock', 'damage', 'Pays later, with interest.'],
]

const MOODS = ['Ashen', 'Crimson', 'Frostbound', 'Gilded', 'Hollow', 'Howling', 'Moonlit', 'Relentless', 'Silent']
const THINGS = ['Bulwark', 'Duelist', 'Harvest', 'Oath', 'Pyre', 'Requiem', 'Tempest', 'Thorns', 'Vigil', 'Whisper']
const PLACES = ['', '', ' of the Reach', ' of Ninefold', ' from Below', ' of the Last Gate', ' at Dusk']
const AUTHORS = ['ayla', 'bram', 'corvus', 'dagny', 'eskil', 'fenna', 'gorm', 'hilda', 'ivo', 'juna', 'kestrel', 'lys']

const NEWEST = Date.parse('2026-01-05T12:00:00Z')
const MINUTE = 60_000

/** mulberry32: numbers in [0, 1). */
function seeded(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function makeBuilds() {
  const random = seeded(12)
  const below = (limit) => Math.floor(random() * limit)
  const pick = (list) => list[below(list.length)]
  return Array.from({ length: BUILDS }, (_, i) => ({
    id: i + 1,
    title: `${pick(MOODS)} ${pick(THINGS)}${pick(PLACES)}`,
    class: pick(CLASSES)[0],
    author: `${pick(AUTHORS)}${below(90) + 10}`,
    likes: Math.floor(2_000 * random() ** 4),
    updated_at: new Date(NEWEST - below(400_000) * MINUTE).toISOString(),
  }))
}

function makeClasses() {
  return CLASSES.map(([name, role, description]) => ({ name, role, description }))
}

const SCHEMA = `
  CREATE TABLE classes (name text PRIMARY KEY, role text NOT NULL, description text NOT NULL);
  CREATE TABLE builds (
    id integer PRIMARY KEY,
    title text NOT NULL,
    class text NOT NULL REFERENCES classes (name),
    author text NOT NULL,
    likes integer NOT NULL,
    updated_at timestamptz NOT NULL
  );`

const insertInto = (table) => `INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`

/** Fills an empty database; returns how many rows there are. */
async function seed(postgres) {
  const [classes, builds] = [makeClasses(), makeBuilds()]
  await postgres.exec(SCHEMA)
  await postgres.query(insertInto('classes'), [classes])
  await postgres.query(insertInto('builds'), [builds])
  return { classes: classes.length, builds: builds.length }
}

module.exports = { seed }
