/** What is told of a configuration file, and what a good one means. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { type AgentConfig, readAgentConfig, type ReadOptions } from '../../ts/agent/config/agent-config.js';
import { ConfigFileError } from '../../ts/agent/config/issues.js';
import { temporaryFolder } from './agent-helpers.js';

const TIMERS = 'timers: { default: { txMin: 100, rxMin: 100, detectMult: 3 } }\n';

function read(text: string, options: ReadOptions = {}, name = 'agent.yaml'): AgentConfig {
  const file = join(temporaryFolder(), name);
  writeFileSync(file, text);
  return readAgentConfig(file, options);
}

/** The lines that are told, without the folder of the file. */
function faults(text: string, options: ReadOptions = {}, name = 'agent.yaml'): string[] {
  try {
    read(text, options, name);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigFileError);
    expect(error).toMatchObject({ code: 'ERR_CONFIG' });
    return (error as Error).message.split('\n').map((line) => line.replace(/^.*\/(?=agent\.)/, ''));
  }
  throw new Error('the file was accepted');
}

const manager = (fields: string): string => `${TIMERS}managers:\n  - bindIP: 127.0.0.1\n    backend: memory\n    ${fields}\n`;
const withRoutes = (...routes: string[]): string => manager(`routes:\n${routes.map((route) => `      - { ${route} }`).join('\n')}`);
const ROUTE = 'iface: lo, dst: 127.0.9.1/32, nextHop: 127.0.9.1, src: 127.0.0.1';

describe('a fault of a configuration file is told with its line and column, what was found and what is allowed', () => {
  it.each([
    ['a misspelt option', manager('ports: 4'), 'agent.yaml:5:5: managers[0].ports: Unknown option `ports` (did you mean `port`?)'],
    [
      'an option of a wrong type',
      manager('port: "1"'),
      'managers[0].port: Expected `port` to be an integer from 0 to 65535, got `"1"` (string)',
    ],
    ['a section that is none', 'log: 3', 'agent.yaml:1:1: log: Expected `log` to be an object; its options are level, got `3` (number)'],
    [
      'an unknown group of timers',
      withRoutes(`${ROUTE}, timers: defautl`),
      'agent.yaml:6:77: managers[0].routes[0].timers: Unknown group of timers `defautl`',
    ],
    [
      'a manager’s damping that could never begin',
      manager('damping: { maxSuppress: 5000 }'),
      'agent.yaml:5:16: managers[0].damping.maxSuppress: Expected `damping.maxSuppress` to be long enough',
    ],
    [
      'damping of a route with an option that is none',
      withRoutes(`${ROUTE}, damping: { halflife: 5 }`),
      'managers[0].routes[0].damping.halflife: Unknown option `damping.halflife` (did you mean `halfLife`?)',
    ],
    [
      'damping of a route that contradicts itself',
      withRoutes(`${ROUTE}, damping: { reuseBelow: 3000 }`),
      'managers[0].routes[0].damping.suppressAbove: Expected `damping.suppressAbove` to be above `damping.reuseBelow` (3000), got 2000',
    ],
    ['a wait of a route below 0', withRoutes(`${ROUTE}, holdUp: -1`), 'routes[0].holdUp: Expected `holdUp` to be a number of milliseconds'],
    [
      'seconds in the place of milliseconds',
      manager('timers: { txMin: 0.05 }'),
      'from minTxFloor (50 ms) to maxTxCeil (1000 ms), got 0.05 ms',
    ],
    ['microseconds in their place', manager('timers: { txMin: 50000 }'), 'from minTxFloor (50 ms) to maxTxCeil (1000 ms), got 50000 ms'],
    [
      'a prefix with bits beyond its length',
      withRoutes(ROUTE.replace('.1/32', '.1/24')),
      'routes[0].dst: Expected `dst` to be a prefix like',
    ],
    [
      'addresses of two families',
      withRoutes(ROUTE.replace('nextHop: 127.0.9.1', "nextHop: '::5'")),
      'as `route.dst` is of IPv4, got `"::5"`',
    ],
    [
      'a mode that YAML reads as a number',
      'control: { mode: 0660 }',
      "to be three octal digits in quotes, such as '0660', got `660` (number)",
    ],
    ['an option of BFD in the other protocol', withRoutes(`${ROUTE}, multihop: true`), '`multihop` is an option of BFD'],
    ['a field that is given twice', 'log: {}\nlog: {}', 'agent.yaml:2:1: Map keys must be unique'],
    ['text that is no YAML', 'log: {', 'agent.yaml:1:7: Flow map in block collection must be sufficiently indented'],
    [
      'an interface that this host does not have',
      withRoutes(ROUTE.replace('lo', 'lp')),
      'routes[0].iface: Expected `iface` to be an interface of this host, got `"lp"` (string) (did you mean `lo`?)',
    ],
    [
      'an address that the manager is not bound to',
      withRoutes(ROUTE.replace('127.0.0.1', '192.0.2.7')),
      'routes[0].src: Expected `src` to be 127.0.0.1, which the manager is bound to',
    ],
    [
      'an address that this host does not have',
      withRoutes(ROUTE.replace('127.0.0.1', '192.0.2.7')).replace('bindIP: 127.0.0.1', 'bindIP: 0.0.0.0'),
      'routes[0].src: Expected `src` to be an address of this host, got `"192.0.2.7"`',
    ],
    ['no manager', TIMERS, 'managers: Expected `managers` to have at least one manager'],
    ['no timers', 'managers: [{ bindIP: 127.0.0.1 }]', 'Expected `timers` to be given: there is no group `timers.default`'],
    [
      'an address that others can reach',
      'metrics: { listen: 0.0.0.0:9000 }',
      'Expected `listen` to be a loopback address (127.0.0.1 or ::1), got `"0.0.0.0:9000"`',
    ],
    ['an address without a port', 'metrics: { listen: 127.0.0.1 }', 'an address and a port, such as `127.0.0.1:9810`'],
  ])('%s', (_, text, message) => {
    expect(faults(text).join('\n')).toContain(message);
  });

  it('of two routes with one slot, where the first is is told, too', () => {
    const [fault] = faults(withRoutes(ROUTE, ROUTE));
    expect(fault).toBe(
      'agent.yaml:7:9: managers[0].routes[1]: The slot (table 254, destination 127.0.9.1/32, priority 0) is that of managers[0].routes[0] (line 6), too: the kernel has one route for it',
    );
  });

  it('of two managers with one state file, whose it is already is told', () => {
    const of = (name: string, port: number, file: string): string =>
      `  - { name: ${name}, bindIP: 127.0.0.1, port: ${port}, resume: ${file} }\n`;
    const text = (second: string): string => `${TIMERS}managers:\n${of('one', 1, '/run/x/state')}${of('two', 2, second)}`;
    expect(read(text('/run/x/other')).managers.map(({ resolved }) => resolved.resume)).toEqual(['/run/x/state', '/run/x/other']);
    expect(faults(text('/run/x/../x/state')).join('\n')).toContain(
      'managers[1].resume: Expected `resume` to be a file of this manager alone, got `/run/x/../x/state`, as managers[0] has it',
    );
    expect(faults(text('state')).join('\n')).toContain('Expected `resume` to be an absolute path of at most 90 bytes, got `"state"`');
  });

  it('routes to one peer with other timers have a session that cannot have both', () => {
    const other = `${ROUTE.replace('9.1/32', '9.8/32')}, peerIP: 127.0.9.1, timers: { txMin: 200 }`;
    expect(faults(withRoutes(ROUTE, other))[0]).toMatch(/is that of managers\[0\]\.routes\[0\] \(line 6\), too, which has another txMin$/);
  });

  it('in JSON as well', () => {
    expect(faults('{\n  "log": { "level": "loud" }\n}', {}, 'agent.json').join('\n')).toContain(
      'agent.json:2:12: log.level: Expected `level`',
    );
    expect(faults('{ log: {} }', {}, 'agent.json')[0]).toMatch(/^agent\.json: Not JSON: /);
  });

  it('all of them at once', () => {
    const found = faults(`log: { level: loud }\ncontrol: { sockett: /x }\n${withRoutes('iface: lo', `${ROUTE}, tables: 3`)}`);
    expect(found.map((line) => line.split(': ')[1])).toEqual([
      'log.level',
      'control.sockett',
      ...['dst', 'src', 'nextHop'].map((name) => `managers[0].routes[0].${name}`),
      'managers[0].routes[1].tables',
    ]);
  });

  it('more sessions than the queue has entries for, with the value to set', () => {
    const routes = [1, 2, 3].map((number) => ROUTE.replaceAll('127.0.9.1', `127.0.9.${number}`));
    expect(faults(withRoutes(...routes).replace('backend: memory', 'backend: memory\n    maxEvents: 4'))[0]).toContain(
      'set `maxEvents` to at least 6',
    );
  });
});

describe('a file that cannot be read', () => {
  it('is told by its name', () => {
    expect(() => readAgentConfig('/nowhere/agent.yaml')).toThrow('/nowhere/agent.yaml: The file cannot be read: ENOENT');
  });
});

describe('a file for another host', () => {
  it('has no fault where it is only checked: what this host lacks is a warning', () => {
    const { warnings } = read(withRoutes(ROUTE.replace('iface: lo', 'iface: nowhere0')), { hostFaults: 'warning' });
    expect(warnings.map(({ path }) => path)).toEqual(['managers[0].routes[0].iface']);
  });
});

describe('a good file', () => {
  it('has the defaults that docs/agent.md names', () => {
    const config = read(withRoutes(ROUTE));
    expect(config).toMatchObject({
      logLevel: 'info',
      control: { socket: '/run/route-liveness/control.sock', mode: 0o660, group: undefined, listen: undefined, events: 10_000 },
      metrics: { listen: undefined, peers: false, prefix: 'liveness_' },
      warnings: [],
    });
    const [settings] = config.managers;
    expect(settings).toMatchObject({ name: 'liveness', takeOver: false, adopt: [], sessions: [] });
    expect(settings?.routes[0]?.registration).toEqual({
      ...{ iface: 'lo', peerIP: '127.0.9.1', txMin: 100, rxMin: 100, detectMult: 3 },
      route: { table: 254, dst: '127.0.9.1/32', src: '127.0.0.1', nextHop: '127.0.9.1', protocol: 186 },
    });
  });

  it('gives a route the timers of its own, of its group, or of its manager', () => {
    const [settings] = read(
      `timers: { fast: { txMin: 60, rxMin: 70, detectMult: 4 }, slow: { txMin: 900, rxMin: 900, detectMult: 5 } }
managers:
  - bindIP: 127.0.0.1
    timers: slow
    routes:
      - { ${ROUTE} }
      - { ${ROUTE.replaceAll('9.1', '9.2')}, timers: fast }
      - { ${ROUTE.replaceAll('9.1', '9.3')}, timers: { txMin: 100 } }`,
    ).managers;
    const timers = settings?.routes.map(({ registration: { txMin, rxMin, detectMult } }) => [txMin, rxMin, detectMult]);
    expect(timers).toEqual([
      [900, 900, 5],
      [60, 70, 4],
      [100, 900, 5],
    ]);
  });

  it('may listen where others reach it, if it says so', () => {
    const { metrics, control } = read(`metrics: { listen: '0.0.0.0:9477', allowRemote: true }
control: { listen: '[::1]:9810' }\n${withRoutes(ROUTE)}`);
    expect([metrics.listen, control.listen]).toEqual([
      { host: '0.0.0.0', port: 9_477 },
      { host: '::1', port: 9_810 },
    ]);
  });

  it('is the same in JSON', () => {
    const managers = [{ bindIP: '127.0.0.1', timers: { txMin: 100, rxMin: 100, detectMult: 3 } }];
    expect(read(JSON.stringify({ managers }), {}, 'agent.json').managers[0]).toMatchObject({ name: 'liveness', backend: 'netlink' });
  });
});

describe('the keys of BFD', () => {
  const withKeys = (keys: string): string =>
    `${TIMERS}auth: { backbone: { type: sha1, keys: [${keys}] } }
managers: [{ protocol: bfd, bindIP: 127.0.0.1, sessions: [{ iface: lo, localIP: 127.0.0.1, peerIP: 127.0.0.2, auth: backbone }] }]`;

  it('come from files, without the end of their line, and from the environment', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'key'), 'first\n', { mode: 0o600 });
    const config = read(withKeys(`{ id: 1, file: ${folder}/key }, { id: 2, env: SECOND, variant: frr-hmac }`), {
      env: { SECOND: 'second' },
    });
    const keys = config.managers[0]?.sessions[0]?.options.auth?.keys.map(({ id, key, variant }) => [
      id,
      Buffer.from(key).toString(),
      variant,
    ]);
    expect(keys).toEqual([
      [1, 'first', undefined],
      [2, 'second', 'frr-hmac'],
    ]);
    expect(config.warnings).toEqual([]);
  });

  it('are never told, whatever is wrong with them', () => {
    const found = faults(withKeys('{ id: 1, env: LONG }, { id: 999, env: SHORT }'), {
      env: { LONG: 'a secret that is much too long', SHORT: 'secret' },
    });
    expect(found.join('\n')).toMatch(/auth\.backbone\.keys\[0\].*1 to 20 bytes/);
    expect(found.join('\n')).toMatch(/auth\.backbone\.keys\[1\]\.id.*an integer from 0 to 255/);
    expect(found.join('\n')).not.toContain('secret');
  });

  it.each([
    ['{ id: 1, file: /nowhere/key }', 'keys[0].file: The key cannot be read: ENOENT'],
    ['{ id: 1, env: NOWHERE }', 'keys[0].env: The environment has no variable `NOWHERE`'],
    ['{ id: 1 }', 'keys[0]: Expected a key to have one of `file` and `env`'],
    ['{ id: 1, key: abc }', 'keys[0].key: Unknown option `key`'],
  ])('%s is a fault', (key, message) => {
    expect(faults(withKeys(key), { env: {} }).join('\n')).toContain(message);
  });

  it('in a file that every user can read are a warning', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'key'), 'first');
    chmodSync(join(folder, 'key'), 0o644);
    expect(read(withKeys(`{ id: 1, file: ${folder}/key }`)).warnings[0]?.message).toContain('can be read by every user');
  });
});
