'use strict'
// Certificates of one authority, made by openssl in a folder of their own.

const { execFileSync, spawnSync } = require('node:child_process')
const { mkdtempSync, readFileSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { adoptFolder } = require('./reaper.js')

/** Why tests that need certificates cannot run here; false: they can. */
const NO_OPENSSL = spawnSync('openssl', ['version']).status === 0 ? false : 'needs openssl'

/** An authority. `issue(name, extensions)` makes `name.pem` and `name.key` for the common name `name`. */
class Authority {
  #folder = adoptFolder(mkdtempSync(join(tmpdir(), 'tidecache-tls-')))

  constructor() {
    this.#openssl('req', '-x509', ...this.#fresh('ca'), '-out', 'ca.pem', '-subj', '/CN=ca')
  }

  issue(name, extensions = `subjectAltName=DNS:${name}`) {
    this.#openssl('req', ...this.#fresh(name), '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(this.file('extensions'), `${extensions}\nbasicConstraints=CA:FALSE\n`)
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions']
    this.#openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.pem`)
  }

  file(name) {
    return join(this.#folder, name)
  }

  read(name) {
    return readFileSync(this.file(name), 'utf8')
  }

  /** Arguments of a redis-server that is reached by TLS at this port; it wants client certificates if `asks`. */
  serverArgs(name, port, { asks = false } = {}) {
    const own = ['--tls-cert-file', this.file(`${name}.pem`), '--tls-key-file', this.file(`${name}.key`)]
    const others = ['--tls-ca-cert-file', this.file('ca.pem'), '--tls-auth-clients', asks ? 'yes' : 'no']
    return ['--tls-port', String(port), ...own, ...others]
  }

  #fresh(name) {
    return ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`]
  }

  #openssl(...args) {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: 'ignore' })
  }
}

module.exports = { Authority, NO_OPENSSL }
