'use strict'
// The command line tool misused, without a Redis, and asked for help.

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runCli } = require('./support/cli.js')
const { freePort } = require('../scripts/lib/ports.js')
const { useRedis } = require('./support/redis.js')

test('misuse is one sentence, exit code 2, and nothing on stdout', async () => {
  const cases = [
    [['lss'], "'lss' is no command; there are: ls, get, inspect, invalidate, top, doctor"],
    [['ls', '--jsn'], "unknown option '--jsn' (did you mean '--json'"],
    [['ls', '--redis'], "option '--redis' needs a value"],
    [['ls', '--json=1'], "option '--json' takes no value; got '1'"],
    [['ls', 'a', 'b'], 'ls takes one pattern; got 2'],
    [['ls'], 'no Redis is named: give --redis redis://host:6379 or set REDIS_URL'],
    [
      ['ls', '--redis', 'http://u:secret@h'],
      "--redis must be a URL with scheme redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; got 'http://***@h'",
    ],
    [
      ['ls', '--namespace', 'a b', '--redis', 'redis://h'],
      "--namespace must be 1 to 64 characters of A-Z, a-z, 0-9, _, . and -; got 'a b'",
    ],
    [['ls', '--tls-ca', '/nowhere.pem', '--redis', 'rediss://h'], "option '--tls-ca' names a file that cannot be read"],
    [['get'], 'get needs a key'],
    [
      ['inspect', 'k', '--version', '2'],
      "inspect has no option '--version': a version is written with its key, 'key@2'",
    ],
    [['get', 'k', '--version=2'], "get has no option '--version': a version is written with its key"],
    [['invalidate', '--key', 'k'], "invalidate has no option '--key': keys are given without an option\n"],
    [['invalidate', '--yess'], "unknown option '--yess'; allowed: "],
    [['get', 'a', 'b'], 'get takes one key; got 2'],
    [['get', 'k', '--view', 'a//b'], '--view must be the name of a view'],
    [['invalidate'], 'invalidate needs a key, --tag, --pattern or --all'],
    [['invalidate', 'k', '--mode', 'soft'], "--mode must be remove or stale; got 'soft'"],
    [
      ['invalidate', '--all', '--redis', 'redis://h'],
      '--all invalidates every entry of namespace tidecache: add --yes to mean it',
    ],
    [['top', 'x'], "top takes no words; got 'x'"],
    [['top', '--interval', '5'], '--interval must be an integer number of milliseconds'],
    [['doctor', 'x'], "doctor takes no words; got 'x'\n"],
    [
      ['doctor', 'redis://:secret@h'],
      "doctor takes no words; got 'redis://***@h'; a Redis is named by --redis <url>\n",
    ],
    [['top', ':secret@h'], "top takes no words; got '***@h'; a Redis is named by --redis <url>\n"],
    [
      ['redis://u:secret@h', 'ls'],
      "'redis://***@h' is no command; there are: ls, get, inspect, invalidate, top, doctor; a Redis is named by --redis <url>\n",
    ],
    [['ls', '--json=redis://:secret@h'], "option '--json' takes no value; got 'redis://***@h'\n"],
    [['ls', '--redisredis://:secret@h'], "unknown option '***@h'; allowed: "],
    [['ls', '--view', 'redis://:secret@h'], '--view must be the name of a view'],
    [['invalidate', 'k', '--mode', 'redis://:secret@h'], "--mode must be remove or stale; got 'redis://***@h'\n"],
  ]

  const results = await Promise.all(cases.map(([args]) => runCli(args)))

  for (const [n, [args, message]] of cases.entries()) {
    const { code, stdout, stderr } = results[n]
    assert.deepEqual([code, stdout], [2, ''], `${args.join(' ')}: ${stderr}`)
    assert.ok(stderr.startsWith(`tidecache: ${message}`), `${args.join(' ')}: ${stderr}`)
    assert.doesNotMatch(stderr, /secret| at .*\.js/)
  }
})

test('a pattern that cannot be read is misuse', async (t) => {
  const redis = await useRedis(t)

  const { code, stderr } = await runCli(['ls', 'a[b', '--redis', redis.url])

  assert.equal(code, 2)
  assert.match(stderr, /the pattern cannot be read: a \[ is not closed by \]/)
})

test('without a Redis each command ends with 1 and a sentence without the password', async () => {
  const url = `redis://user:hunter2@127.0.0.1:${await freePort()}`
  const commands = [['ls'], ['get', 'k'], ['inspect', 'k'], ['invalidate', 'k'], ['top', '--once'], ['doctor']]

  for (const args of commands) {
    const { code, stdout, stderr } = await runCli([...args, '--redis', url])

    assert.equal(code, 1, `${args[0]}: ${stderr}`)
    assert.match(stdout + stderr, /Connection refused/, args[0])
    assert.doesNotMatch(stdout + stderr, /hunter2|\.js:\d/, args[0])
  }
})

test('help tells of every command and every option', async () => {
  const general = await runCli(['--help'])
  const none = await runCli([])
  const version = await runCli(['--version'])
  const rest = await runCli(['--version', 'ls'])

  assert.equal(general.code, 0)
  assert.equal(version.stdout, `${require('../package.json').version}\n`)
  assert.equal(rest.stdout, version.stdout)
  assert.deepEqual([none.code, none.stdout, none.stderr], [2, '', general.stdout])
  for (const name of ['ls', 'get', 'inspect', 'invalidate', 'top', 'doctor']) {
    assert.match(general.stdout, new RegExp(`^  ${name} +\\w`, 'm'))
    const { code, stdout } = await runCli([name, '--help'])
    const { options } = require(`../cli/commands/${name}.js`)
    assert.equal(code, 0)
    for (const option of Object.keys(options)) assert.ok(stdout.includes(`--${option}`), `${name} --${option}`)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, `${line.length} columns: ${line}`)
  }
})
