'use strict'
// Which mode an application will be in, and what that means: by what a session made of it, and by what was refused.

/** @typedef {'tracking' | 'none' | 'memory-only'} Mode */

const MEANING = {
  tracking:
    'Memory tier and Redis together. An invalidation reaches every process by a push, in about one round trip. If the ' +
    'link breaks, memory is served for at most 5 s (isolated), then the loader is asked.',
  none:
    "Memory tier and Redis together, without pushes (coherence 'none'). Memory is served for at most 1 s " +
    '(maxUnverified) from when it was read; then Redis is asked again. Nothing is wrong, and there are more round trips.',
  'memory-only':
    'Each process caches in its own memory and loads for itself. Invalidations reach no other process; they are queued ' +
    'until Redis can be used. Applications go on working.',
}

/** The first thing that keeps Redis from being used. */
function reason(checks, session) {
  const first = checks.find(({ status }) => status === 'problem')
  if (first !== undefined)
    return first.id === 'commands' || first.id === 'greeting' ? `${first.id} ${first.says}` : first.says
  return session?.error
}

/**
 * @param {object} facts of the probe
 * @param {object[]} checks
 * @returns {{ mode: Mode, because?: string, meaning: string }}
 */
function verdict({ session }, checks) {
  const because = reason(checks, session)
  if (because !== undefined) return { mode: 'memory-only', because, meaning: MEANING['memory-only'] }
  if (session.isTracking) return { mode: 'tracking', meaning: MEANING.tracking }
  const pushes = checks.find(({ id }) => id === 'pushes')
  return { mode: 'none', because: pushes?.says ?? session.refused, meaning: MEANING.none }
}

module.exports = { verdict }
