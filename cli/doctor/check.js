'use strict'
// One finding: what was checked, how it is, what follows from it, what mends it.

/**
 * @typedef {{ consequence?: string, mend?: string[] }} Advice
 * @typedef {{ id: string, status: 'ok' | 'warning' | 'problem', says: string } & Advice} Check
 */

const finding = (status) => (id, says, advice) => ({ id, status, says, ...advice })

module.exports = { ok: finding('ok'), warn: finding('warning'), problem: finding('problem') }
