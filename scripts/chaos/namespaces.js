'use strict'
// Redis in one network namespace, the processes in another, and a third between them that routes: it can lose packets as a
// network does, with kernels at both ends that are told nothing and go on retransmitting.

const { execFileSync } = require('node:child_process')
const { startRedis } = require('../../__test__/support/redis.js')
const { findOrInstall } = require('../lib/apt.js')

const HOW_TO = 'ip is missing: install iproute2'
/** By namespace: its address, and that of the router on the same wire. */
const WIRES = {
  processes: { address: '10.87.1.1', router: '10.87.1.254' },
  redis: { address: '10.87.2.1', router: '10.87.2.254' },
}

const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

let networks = 0

class Network {
  #prefix = `tidecache-${process.pid}-${++networks}`
  #atExit = () => this.#removeAll()

  constructor() {
    process.once('exit', this.#atExit)
    try {
      for (const name of ['router', ...Object.keys(WIRES)]) {
        ip('netns', 'add', this.#name(name))
        this.#in(name, 'link', 'set', 'lo', 'up')
      }
      for (const name of Object.keys(WIRES)) this.#wire(name)
      const forward = 'echo 1 > /proc/sys/net/ipv4/ip_forward'
      ip('netns', 'exec', this.#name('router'), 'sh', '-c', forward)
    } catch (error) {
      this.end()
      throw error
    }
  }

  address(name) {
    return WIRES[name].address
  }

  /** What runs a command in a namespace: goes before it. */
  within(name) {
    return ['ip', 'netns', 'exec', this.#name(name)]
  }

  /** What is sent to a namespace is lost; nobody is told. */
  lose(name) {
    this.#in('router', 'route', 'add', 'blackhole', `${WIRES[name].address}/32`)
  }

  find(name) {
    this.#in('router', 'route', 'del', 'blackhole', `${WIRES[name].address}/32`)
  }

  /** The router's end of a wire; who sends to a namespace whose wire is down is told that there is no way. */
  set(name, state) {
    this.#in('router', 'link', 'set', name, state)
  }

  end() {
    process.off('exit', this.#atExit)
    this.#removeAll()
  }

  #name(name) {
    return `${this.#prefix}-${name}`
  }

  #in(name, ...args) {
    return ip('-n', this.#name(name), ...args)
  }

  #wire(name) {
    const { address, router } = WIRES[name]
    ip(
      'link',
      'add',
      'wire',
      'netns',
      this.#name(name),
      'type',
      'veth',
      'peer',
      'name',
      name,
      'netns',
      this.#name('router'),
    )
    this.#in(name, 'address', 'add', `${address}/24`, 'dev', 'wire')
    this.#in('router', 'address', 'add', `${router}/24`, 'dev', name)
    this.#in(name, 'link', 'set', 'wire', 'up')
    this.#in('router', 'link', 'set', name, 'up')
    this.#in(name, 'route', 'add', 'default', 'via', router)
  }

  /** Some of them may never have been made. */
  #removeAll() {
    for (const name of ['router', ...Object.keys(WIRES)]) {
      try {
        ip('netns', 'del', this.#name(name))
      } catch {}
    }
  }
}

function findIp() {
  try {
    return ip('-V')
  } catch {
    return undefined
  }
}

/** Why there can be no network namespaces here; undefined if there can. */
async function whyNoNamespaces() {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  try {
    await findOrInstall(findIp, ['iproute2'], HOW_TO)
    new Network().end()
    return undefined
  } catch (error) {
    return `no network namespaces may be made here (${String(error.stderr ?? error.message).trim()})`
  }
}

/** @param args further arguments of the server */
async function namespaces(scope, args) {
  const network = new Network()
  scope.after(async () => network.end())
  const address = network.address('redis')
  const server = await startRedis({
    args: [...args, '--bind', address, '--protected-mode', 'no'],
    within: network.within('redis'),
    socket: true,
  })
  scope.after(() => server.stop())
  return {
    redisFor: () => ({ url: `redis://${address}:${server.port}` }),
    within: network.within('processes'),
    network,
    servers: [server],
    master: async () => server,
    restart: () => server.restart(),
    settle: async () => {},
  }
}

// --- its faults ---------------------------------------------------------------------------------------------------

async function lost(network, names) {
  for (const name of names) network.lose(name)
  return () => {
    for (const name of names) network.find(name)
  }
}

const blackHole = ({ topology: { network } }) => lost(network, ['redis', 'processes'])
const halfOpen = ({ topology: { network }, random }) => lost(network, [random() < 0.5 ? 'redis' : 'processes'])

/** Of the connections of before, the server that comes back knows nothing. */
async function restartUnseen({ topology: { network, master } }) {
  const heal = await lost(network, ['redis', 'processes'])
  await (await master()).restart()
  return heal
}

async function linkDown({ topology: { network } }) {
  network.set('redis', 'down')
  return () => network.set('redis', 'up')
}

const hasNetwork = ({ network }) => network !== undefined

const NETWORK_FAULTS = [
  ['network: black hole', blackHole, [200, 6_000], hasNetwork],
  ['network: half-open', halfOpen, [200, 6_000], hasNetwork],
  ['network: Redis restarted in a black hole', restartUnseen, [0, 3_000], hasNetwork],
  ['network: link down', linkDown, [50, 4_000], hasNetwork],
]

module.exports = { NETWORK_FAULTS, namespaces, whyNoNamespaces }
