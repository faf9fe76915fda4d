'use strict'
// What an operator is told: the logger's lines, and the events that they go with.
//
// The core sends one list of notices to every handle of its engine. Handles with a logger of their own all hear them;
// without one a process prints each line once (`mine` says who does), however many handles it has.

const NAME = 'TidecacheWarning'

class Log {
  #logger
  #events

  /**
   * @param {object | null} logger of the handle
   * @param {import('./events.js').Events} events
   */
  constructor(logger, events) {
    this.#logger = logger
    this.#events = events
  }

  /** Something an operator should know of. */
  warn(message, detail) {
    this.#write('warn', message, detail)
    this.#tellWarning(message, detail)
  }

  /** @param {object[]} notices of the core, see crates/core/src/notice.rs */
  notices(notices) {
    for (const notice of notices) this[notice.event]?.(notice)
  }

  redisDown({ reason }) {
    this.#emit('redisDown', { reason })
  }

  redisUp({ first, server, topology, coherence, told, mine }) {
    const reason = first ? 'connected' : 'reconnected'
    this.#emit('redisUp', { reason, server, coherence })
    if (first)
      this.#info(`connected to ${server} (${topology}); coherence: ${coherence}`, { server, topology, coherence })
    // Who was told of the loss is told of its end.
    if (told) this.#back({ server, coherence }, mine)
  }

  #back(detail, mine) {
    const message = 'Redis is back; queued invalidations have been applied'
    if (this.#logger?.info !== undefined) return this.#info(message, detail)
    if (this.#logger !== null || mine) this.#write('warn', message, detail)
  }

  breaker({ state }) {
    this.#emit('breaker', { state })
  }

  warning({ message, mine }) {
    if (this.#logger !== null || mine) this.#write('warn', message)
    this.#tellWarning(message)
  }

  #tellWarning(message, detail) {
    this.#emit('warning', detail === undefined ? { message } : { message, detail })
  }

  #emit(name, payload) {
    if (this.#events.has(name)) this.#events.emit(name, payload)
  }

  /** Without a logger, or one that takes no information, nothing is printed when all is well. */
  #info(message, detail) {
    if (this.#logger?.info !== undefined) this.#write('info', message, detail)
  }

  /** A logger that throws must not take the cache with it. */
  #write(level, message, detail) {
    if (this.#logger === null) return process.emitWarning(message, NAME)
    try {
      if (detail === undefined) this.#logger[level](message)
      else this.#logger[level](message, detail)
    } catch (error) {
      process.emitWarning(`logger.${level} threw: ${error?.message}; the message was: ${message}`, NAME)
    }
  }
}

module.exports = { Log }
