'use strict'
// Ends what the tests started, by process id and however the test process itself ends.
//
// An `exit` handler covers the usual ways. A test process killed by SIGKILL runs none, so a small shell waits
// on a pipe beside it: when the pipe closes, it kills what is still on its list. It also ends stopped processes,
// which hear of nothing.

const { spawn } = require('node:child_process')
const { rmSync } = require('node:fs')

const WATCHDOG = `
pids=" "
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
`

const running = new Set()
const folders = new Set()
let watchdog

function tell(line) {
  if (watchdog === undefined) {
    watchdog = spawn('sh', ['-c', WATCHDOG], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    watchdog.on('error', () => {})
    watchdog.stdin.on('error', () => {})
    watchdog.unref()
    watchdog.stdin.unref()
  }
  watchdog.stdin.write(`${line}\n`)
}

/** Puts a child process on the list; it leaves the list when it ends. */
function adopt(child) {
  if (child.pid === undefined) return child
  running.add(child.pid)
  tell(`+ ${child.pid}`)
  child.once('exit', () => {
    running.delete(child.pid)
    tell(`- ${child.pid}`)
  })
  return child
}

/** A folder to be removed at exit. */
function adoptFolder(path) {
  folders.add(path)
  return path
}

function discardFolder(path) {
  if (folders.delete(path)) rmSync(path, { recursive: true, force: true })
}

/** Sends a signal to one process; one that has ended is no error. */
function signal(pid, name) {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    if (error.code === 'ESRCH') return false
    throw error
  }
}

process.on('exit', () => {
  for (const pid of running) signal(pid, 'SIGKILL')
  for (const path of folders) rmSync(path, { recursive: true, force: true })
})
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => process.exit(1))

module.exports = { adopt, adoptFolder, discardFolder, signal }
