'use strict'
// The side of a peer in its own process: commands over IPC, each answered when its promise settles.
// Like a usual server it leaves by process.exit() on SIGTERM, and it does not outlive its parent.

/** Answers `commands`, by name, until it is told to stop; then it calls `close` and may end. */
function serve(commands, close) {
  const orphaned = () => process.exit(0)
  const stop = async () => {
    await close()
    process.off('disconnect', orphaned)
    process.disconnect()
  }

  process.on('SIGTERM', () => process.exit(0))
  process.on('disconnect', orphaned)
  process.on('message', async ({ id, op, args }) => {
    if (op === 'stop') return stop()
    const answer = { id }
    try {
      answer.value = await commands[op](...args)
    } catch (error) {
      answer.error = { name: error.name, message: error.message, code: error.code }
    }
    if (process.connected) process.send(answer)
  })
}

module.exports = { serve }
