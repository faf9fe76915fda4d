'use strict'
// The newest glibc that a Linux addon asks for: `node scripts/check-glibc.js [file.node] [--max 2.17]`.
//
// Read from the ELF section .gnu.version_r (the versions a file needs of each library), little-endian, 64 bit:
// the layout is that of the System V ABI and the Linux Standard Base, "Symbol Versioning".

const { readFileSync } = require('node:fs')
const { parseArgs } = require('node:util')
const { fail } = require('./lib/run.js')

const SHT_GNU_VERNEED = 0x6ffffffe

function sections(elf) {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) throw new Error('not a 64-bit ELF file')
  const table = Number(elf.readBigUInt64LE(0x28))
  const size = elf.readUInt16LE(0x3a)
  return Array.from({ length: elf.readUInt16LE(0x3c) }, (_, index) => {
    const at = table + index * size
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 0x18)),
      link: elf.readUInt32LE(at + 0x28),
    }
  })
}

function text(elf, at) {
  return elf.toString('latin1', at, elf.indexOf(0, at))
}

/** Every version name the file needs: 'GLIBC_2.14', 'GCC_3.0' ... */
function neededVersions(elf) {
  const all = sections(elf)
  const need = all.find(({ type }) => type === SHT_GNU_VERNEED)
  if (need === undefined) return []
  const strings = all[need.link].offset
  const names = []
  let library = need.offset
  for (let next = -1; next !== 0; library += next) {
    let version = library + elf.readUInt32LE(library + 8)
    for (let step = -1; step !== 0; version += step) {
      names.push(text(elf, strings + elf.readUInt32LE(version + 8)))
      step = elf.readUInt32LE(version + 12)
    }
    next = elf.readUInt32LE(library + 12)
  }
  return names
}

function compare(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The newest glibc version `file` needs, '2.14'; undefined when it needs none (musl). */
function newestGlibc(file) {
  const names = neededVersions(readFileSync(file)).filter((name) => name.startsWith('GLIBC_2.'))
  return names
    .map((name) => name.slice('GLIBC_'.length))
    .sort(compare)
    .at(-1)
}

/** Prints what `file` needs; throws when that is newer than `max`. */
function checkGlibc(file, max) {
  const version = newestGlibc(file)
  console.log(version === undefined ? `${file} needs no glibc` : `${file} loads from glibc ${version} on`)
  if (version !== undefined && max !== undefined && compare(version, max) > 0) {
    throw new Error(`${file} needs glibc ${version}, allowed is ${max}: build it with npm run build:release`)
  }
}

function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { max: { type: 'string' } } })
  checkGlibc(positionals[0] ?? require('./build.js').addonFile(), values.max)
}

module.exports = { checkGlibc, newestGlibc }
if (require.main === module) {
  try {
    main()
  } catch (error) {
    fail(error)
  }
}
