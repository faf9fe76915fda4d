'use strict'
// A client of one replica: pages, and the application's server actions as a browser sends them.

const { readFileSync } = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { APP } = require('../lib/next-app.js')

/** The ids that `next build` gave the actions, by name. */
function actionIds() {
  const file = path.join(APP, '.next', 'server', 'server-reference-manifest.json')
  const { node } = JSON.parse(readFileSync(file, 'utf8'))
  return Object.fromEntries(Object.entries(node).map(([id, { exportedName }]) => [exportedName, id]))
}

const BUILD = {
  class: 'Warden',
  summary: 'Written by the load test, to be found again.',
  skills: 'Undertow, Iron Vow',
  Might: '12',
  Guard: '17',
  Haste: '6',
  Wits: '9',
  Spirit: '11',
}

/** Where the browser is sent by a change that was made; a refused one answers, too, with its reason or nothing. */
const LED_TO = {
  createBuild: /^\/builds\/(\d+)/,
  updateBuild: /^\/builds\/\d+/,
  deleteBuild: /^\/users\/\d+/,
  toggleLike: /^undefined$/,
}

const refused = (what, status) => Object.assign(new Error(`${what}: ${status}`), { status })

class Client {
  #origin
  #agent
  #actions = actionIds()
  #cookies = new Map()
  #titles = 0

  constructor(origin) {
    this.#origin = origin
    this.#agent = new http.Agent({ keepAlive: true })
  }

  async signIn(ids) {
    for (const id of ids) {
      const { headers } = await this.act('/sign-in', 'signIn', { id: String(id) }, [])
      const cookie = headers['set-cookie']?.[0]?.split(';')[0]
      if (cookie === undefined) throw new Error('signing in gave no cookie')
      this.#cookies.set(id, cookie)
    }
  }

  get(path) {
    return this.#send(path, { method: 'GET' })
  }

  async json(path) {
    const { body } = await this.get(path)
    return JSON.parse(body)
  }

  /** @returns {Promise<number | undefined>} the id of the build that was made, if one was */
  async change({ change, visitor, id }) {
    const cookie = this.#cookies.get(visitor)
    const isForm = change === 'createBuild' || change === 'updateBuild'
    const fields = isForm ? { ...BUILD, title: `Load ${++this.#titles} of the Tide` } : {}
    if (id !== undefined) fields.id = String(id)
    const where = id === undefined ? '/builds/new' : `/builds/${id}`
    const { headers } = await this.act(where, change, fields, isForm ? [{ errors: {} }] : [], cookie && { cookie })
    const led = headers['x-action-redirect']
    if (!LED_TO[change].test(led)) throw refused(`${change} led to ${led}`, 200)
    return change === 'createBuild' ? Number(led.match(LED_TO.createBuild)[1]) : undefined
  }

  /** An action, with its arguments as React encodes them: the form is the last. */
  act(where, name, fields, before, headers) {
    const form = new FormData()
    for (const [field, value] of Object.entries(fields)) form.append(`_1_${field}`, value)
    form.append('0', JSON.stringify([...before, '$K1']))
    return this.#send(where, { method: 'POST', headers: { 'next-action': this.#actions[name], ...headers } }, form)
  }

  async #send(where, { method, headers }, form) {
    const encoded = form === undefined ? undefined : new Response(form)
    const body = encoded === undefined ? undefined : Buffer.from(await encoded.arrayBuffer())
    const type =
      encoded === undefined
        ? {}
        : { 'content-type': encoded.headers.get('content-type'), 'content-length': body.length }
    const options = { method, agent: this.#agent, headers: { ...headers, ...type } }
    return new Promise((resolve, reject) => {
      const request = http.request(this.#origin + where, options, (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const answer = { headers: response.headers, body: Buffer.concat(chunks).toString() }
          if (response.statusCode < 400) resolve(answer)
          else reject(refused(`${method} ${where}`, response.statusCode))
        })
      })
      request.once('error', reject)
      request.end(body)
    })
  }

  close() {
    this.#agent.destroy()
  }
}

module.exports = { Client }
