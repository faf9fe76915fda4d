'use strict'
// The code blocks of a Markdown page, each with what the comment right above it says about its test:
//
//   <!-- test: const id = 7 -->     code that runs before it: what the page's reader has at hand anyway
//   <!-- run by vitest -->          another program than Node.js runs it
//   <!-- not run: why -->           nothing runs it; the count of these is held down by the test

const OPEN = /^( *)(`{3,}|~{3,})\s*(\S*)\s*$/
const COMMENT = /^<!-- (test:|run by|not run:)\s*([\s\S]*?)\s*-->$/

/** The comment that ends on the line before `index`, in one line or several. */
function commentAbove(lines, index) {
  if (!lines[index - 1]?.trimEnd().endsWith('-->')) return undefined
  let first = index - 1
  while (first > 0 && !lines[first].includes('<!--')) first--
  return COMMENT.exec(lines.slice(first, index).join('\n').trim())
}

function closingLine(lines, index, fence) {
  const end = lines.findIndex((line, i) => i > index && line.trim() === fence)
  if (end === -1) throw new Error(`line ${index + 1}: the block has no end`)
  return end
}

/**
 * @returns {{ line: number, lang: string, code: string, before?: string, runner?: string, notRun?: string }[]}
 *   `line` counts from 1: where the code begins
 */
function blocksOf(markdown) {
  const lines = markdown.split('\n')
  const blocks = []
  for (let i = 0; i < lines.length; i++) {
    const open = OPEN.exec(lines[i])
    if (open === null) continue
    const [, indent, fence, lang] = open
    const end = closingLine(lines, i, fence)
    const code = lines.slice(i + 1, end).map((line) => line.slice(indent.length))
    const [, kind, text] = commentAbove(lines, i) ?? []
    const told = { 'test:': { before: text }, 'run by': { runner: text }, 'not run:': { notRun: text } }[kind]
    blocks.push({ line: i + 2, lang, code: `${code.join('\n')}\n`, ...told })
    i = end
  }
  return blocks
}

/** What a block says it prints: each `// → text`, in a shell `# → text`, in order. `…` stands for anything. */
function promisedOutput(code) {
  return [...code.matchAll(/(?:\/\/|^#) → (.*)$/gm)].map(([, text]) => text.trimEnd())
}

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
const patternOf = (text) => text.split(/ ?… ?/).map(escaped).join('.*')

/** Whether the output is what the block promises: in a shell those lines in this order, in JavaScript nothing else. */
function keepsPromise({ lang, code }, stdout) {
  const patterns = promisedOutput(code).map(patternOf)
  if (patterns.length === 0) return true
  const whole = lang.endsWith('sh') ? patterns.join('[\\s\\S]*?') : `^${patterns.join('\n')}\n?$`
  return new RegExp(whole).test(stdout)
}

module.exports = { blocksOf, keepsPromise }
