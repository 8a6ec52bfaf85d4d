/** Whatever a file or a client says, it is refused with a reason or it is valid. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, it } from 'vitest';

import { readAgentConfig } from '../../ts/agent/config/agent-config.js';
import { ConfigFileError } from '../../ts/agent/config/issues.js';
import { fileWith, routeBody, routeLine, temporaryFolder, TestAgent } from './agent-helpers.js';

const nonsense = fc.oneof(fc.jsonValue(), fc.constantFrom(null, -1, 0, 1e300, '', '__proto__', [], {}, [[]], 'default', '127.0.0.1'));

/** An object with some of the names, each with a valid value or nonsense, and perhaps a name that is none. */
function objectOf(entries: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(
    Object.entries(entries).map(([name, valid]) => [name, fc.oneof({ weight: 6, arbitrary: valid }, nonsense)]),
  );
  const named = fc.record(fields, { requiredKeys: [] });
  const strange = fc.tuple(named, fc.constantFrom('__proto__', 'constructor', 'toString', 'txmin', ''), nonsense);
  return fc.oneof(
    { weight: 6, arbitrary: named },
    strange.map(([object, name, value]) => ({ ...object, [name]: value })),
    nonsense,
  );
}

const timers = objectOf({ txMin: fc.constantFrom(50, 0.05, 50_000), rxMin: fc.constant(100), detectMult: fc.constant(3) });
const session = {
  ...{
    iface: fc.constantFrom('lo', 'l0'),
    peerIP: fc.constantFrom('127.0.0.2', '::2', '127.0.0.1'),
    timers: fc.oneof(timers, fc.constant('fast')),
  },
  ...{ holdUp: fc.constantFrom(0, 1_000, -1), damping: fc.constantFrom(true, false, { penalty: 2_000 }, { penalty: 0 }, 'yes') },
  ...{ multihop: fc.boolean(), auth: fc.constantFrom('keys', 'key'), minTtl: fc.constant(254), passive: fc.boolean() },
};
const route = objectOf({
  ...session,
  dst: fc.constantFrom('10.0.0.0/8', '127.0.0.2/32'),
  src: fc.constant('127.0.0.1'),
  nextHop: fc.constant('127.0.0.2'),
});
const manager = objectOf({
  ...{
    name: fc.constantFrom('one', 'two'),
    protocol: fc.constantFrom('bfd', 'liveness'),
    bindIP: fc.constantFrom('127.0.0.1', '0.0.0.0', ['::', '0.0.0.0']),
  },
  ...{
    timers: fc.oneof(timers, fc.constant('fast')),
    minTxFloor: fc.constantFrom(10, 1_000),
    maxTxCeil: fc.constantFrom(10, 1_000),
    maxEvents: fc.constant(2),
  },
  ...{ onClose: objectOf({ adminDown: fc.boolean() }), adopt: fc.array(objectOf({ protocol: fc.constant(186) }), { maxLength: 2 }) },
  ...{
    routes: fc.array(route, { maxLength: 4 }),
    sessions: fc.array(objectOf({ ...session, localIP: fc.constant('127.0.0.1') }), { maxLength: 3 }),
  },
});
const file = objectOf({
  ...{
    log: objectOf({ level: fc.constant('info') }),
    control: objectOf({ socket: fc.constantFrom('/x', false), mode: fc.constant('0660'), events: fc.constant(5) }),
  },
  ...{
    metrics: objectOf({ listen: fc.constantFrom('127.0.0.1:0', '[::1]:1', '1.1.1.1:1'), peers: fc.boolean() }),
    timers: objectOf({ fast: timers, default: timers }),
  },
  ...{
    auth: objectOf({
      keys: objectOf({ type: fc.constant('sha1'), keys: fc.array(objectOf({ id: fc.constant(1), env: fc.constant('KEY') })) }),
    }),
  },
  managers: fc.array(manager, { maxLength: 3 }),
});

it('any file is a configuration, or has faults that are told with their places', () => {
  const path = join(temporaryFolder(), 'agent.json');
  let accepted = 0;
  fc.assert(
    fc.property(file, (value) => {
      writeFileSync(path, JSON.stringify(value));
      try {
        readAgentConfig(path, { env: { KEY: 'secret' }, hostFaults: 'warning' });
        accepted += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigFileError);
        const { issues, message } = error as ConfigFileError;
        expect(issues.length).toBeGreaterThan(0);
        expect(issues.every(({ place }) => place !== undefined)).toBe(true);
        expect(message).not.toContain('secret');
      }
    }),
    { numRuns: 2_000, examples: [[{ timers: { default: { txMin: 50, rxMin: 50, detectMult: 3 } }, managers: [{ bindIP: '127.0.0.1' }] }]] },
  );
  expect(accepted).toBeGreaterThan(0);
});

it('any text is a configuration, or has faults', () => {
  const path = join(temporaryFolder(), 'agent.yaml');
  const good = fileWith(`    routes:\n${routeLine(1)}`);
  const damaged = fc
    .tuple(fc.nat(good.length), fc.string(), fc.nat(20))
    .map(([at, text, count]) => good.slice(0, at) + text + good.slice(at + count));
  fc.assert(
    fc.property(fc.oneof(damaged, fc.string()), (text) => {
      writeFileSync(path, text);
      try {
        readAgentConfig(path);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigFileError);
      }
    }),
    { numRuns: 2_000 },
  );
});

it('a file whose aliases multiply without end is a fault', () => {
  const path = join(temporaryFolder(), 'agent.yaml');
  const lines = Array.from({ length: 20 }, (_, index) => `a${index + 1}: &a${index + 1} [${Array(10).fill(`*a${index}`).join(', ')}]`);
  writeFileSync(path, `a0: &a0 [x]\n${lines.join('\n')}\n`);
  expect(() => readAgentConfig(path)).toThrow(/Excessive alias count/);
});

it('any body is done, or refused with a status below 500', async () => {
  const agent = await TestAgent.start(fileWith(`    routes:\n${routeLine(1)}`));
  const body = routeBody(2, {
    manager: 'main',
    table: 5,
    route_protocol: 9,
    priority: 1,
    peer_ip: '127.0.0.3',
    tx_min_ms: 60,
    multihop: false,
  });
  const one = objectOf(Object.fromEntries(Object.entries(body).map(([name, value]) => [name, fc.constant(value)])));
  const hold = objectOf({ seconds: fc.constant(1), peer_ip: fc.constant('127.0.9.1'), reason: fc.string(), manager: fc.constant('main') });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('POST /routes', 'DELETE /routes', 'POST /admin-down', 'POST /admin-up', 'POST /hold', 'POST /release'),
      fc.oneof(one, fc.array(one, { maxLength: 3 }), hold),
      async (operation, value) => {
        const [method = '', path = ''] = operation.split(' ');
        const { status } = await agent.post(path, value, method);
        expect(status).toBeLessThan(500);
      },
    ),
    { numRuns: 500 },
  );
  expect((await agent.ask('/readyz')).status).toBe(200);
});
