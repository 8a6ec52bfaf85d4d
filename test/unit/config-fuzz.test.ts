/** Any configuration either starts or is refused as a whole: then no engine was started and no metric registered. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { Counter, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';

import { ConfigError, type ManagerConfig, MemoryRoutes } from '../../ts/index.js';
import { startManager } from '../../ts/manager/manager.js';
import { FakeEngine } from './fake-engine.js';
import { FakeUDP, newLog } from './fake-udp.js';

/** What happens to a configuration. */
async function outcomeOf(config: unknown): Promise<{ started: FakeEngine | undefined; failure: unknown }> {
  let started: FakeEngine | undefined;
  try {
    const manager = await startManager(config as ManagerConfig, undefined, (_, options, listener) => {
      started = new FakeEngine(options, listener);
      return Promise.resolve(started);
    });
    await manager.close();
    return { started, failure: undefined };
  } catch (failure) {
    return { started, failure };
  }
}

/** Everything that an engine counts in is a whole number. */
function expectWhole({ options }: FakeEngine): void {
  const { port, multihopPort, minTxFloorUs, maxTxCeilUs, backoffMaxUs, maxSessions } = options;
  for (const value of [port, multihopPort, minTxFloorUs, maxTxCeilUs, backoffMaxUs, maxSessions])
    expect(Number.isSafeInteger(value)).toBe(true);
  expect(minTxFloorUs).toBeGreaterThan(0);
  expect(maxTxCeilUs).toBeGreaterThanOrEqual(minTxFloorUs);
  expect(maxSessions).toBeGreaterThan(0);
}

const nonsense = fc.oneof(fc.anything(), fc.constantFrom(Number.NaN, -1, 0, 1e12, '', 'x', null, true, [], {}, Symbol('x'), 1n));
const valid: Record<keyof ManagerConfig, fc.Arbitrary<unknown>> = {
  netlinker: fc.constant(new MemoryRoutes()),
  bindIP: fc.constantFrom('0.0.0.0', '127.0.0.1', '10.1.2.3', '::', ['0.0.0.0', '2001:DB8::1']),
  txMin: fc.double({ min: 50, max: 1_000, noNaN: true }),
  rxMin: fc.double({ min: 50, max: 1_000, noNaN: true }),
  detectMult: fc.integer({ min: 1, max: 255 }),
  protocol: fc.constantFrom(undefined, 'liveness'),
  port: fc.constantFrom(undefined, 0, 44880, 65_535),
  multihopPort: fc.constant(undefined),
  udp: fc.constantFrom(undefined, new FakeUDP()),
  passiveMode: fc.constantFrom(undefined, false, true),
  minTxFloor: fc.constantFrom(undefined, 50, 0.5, 3.3),
  maxTxCeil: fc.constantFrom(undefined, 1_000, 60_000),
  backoffMax: fc.constantFrom(undefined, 1_000, 600_000),
  maxEvents: fc.constantFrom(undefined, 2, 3, 4_000_000),
  logger: fc.constantFrom(undefined, newLog().logger),
  metricsRegistry: fc.constant(undefined),
  metricsPrefix: fc.constantFrom(undefined, 'bfd_', 'a:b'),
  enablePeerMetrics: fc.constantFrom(undefined, true),
  clientVersion: fc.constantFrom(undefined, '1.2.3', '0.8.1~git1'),
  honorPeerAdvertisedPassive: fc.constantFrom(undefined, true),
  onPeerAdminDown: fc.constant(undefined),
  requireDiscriminator: fc.constantFrom(undefined, true),
  filterRepeats: fc.constantFrom(undefined, true),
  holdUp: fc.constantFrom(undefined, 0, 0.5, 600_000),
  damping: fc.constantFrom(undefined, true, false, {}, { penalty: 1, halfLife: 0.25e4 }, { maxSuppress: 3_600_000, halfLife: 1 }),
  minTtl: fc.constantFrom(undefined, 1, 255),
  routeTimeout: fc.constantFrom(undefined, 1, 600_000),
  massDown: fc.constantFrom(undefined, { share: 0.5, within: 100, hold: 1_000 }),
  onFatal: fc.constantFrom(undefined, 'keep', 'withdraw'),
  onClose: fc.constantFrom(undefined, {}, { adminDown: false }, { withdrawRoutes: undefined }),
  resume: fc.constantFrom(undefined, join(tmpdir(), `fuzz-${process.pid}.state`)),
  engine: fc.constantFrom(undefined, 'auto', 'native', 'js'),
  realtime: fc.constantFrom(undefined, {}, { priority: 99, cpu: 0 }),
};
/** As `valid`, of BFD. */
const validBfd: typeof valid = {
  ...valid,
  protocol: fc.constant('bfd'),
  multihopPort: fc.constantFrom(undefined, 0, 4_784),
  onPeerAdminDown: fc.constantFrom(undefined, 'withdraw', 'keep'),
  backoffMax: fc.constant(undefined),
  clientVersion: fc.constant(undefined),
  honorPeerAdvertisedPassive: fc.constantFrom(undefined, false),
  requireDiscriminator: fc.constantFrom(undefined, false),
  filterRepeats: fc.constantFrom(undefined, false),
};
const mixed = fc.record(
  Object.fromEntries(
    Object.entries(valid).map(([name, good]) => [name, fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: nonsense })]),
  ),
  { requiredKeys: ['netlinker', 'bindIP', 'txMin', 'rxMin', 'detectMult'] },
);

describe('a random configuration', () => {
  it('of valid fields starts, and the engine gets whole numbers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.record(valid), fc.record(validBfd)), async (config) => {
        const registry = new Registry();
        const { started, failure } = await outcomeOf({ ...config, metricsRegistry: registry });
        expect(failure).toBeUndefined();
        if (started !== undefined) expectWhole(started);
        expect(registry.getMetricsAsArray()).toHaveLength(40);
      }),
      { numRuns: 100 },
    );
  });

  it('of valid and invalid fields starts, or is refused with every issue and leaves nothing open', async () => {
    let refused = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(mixed, fc.boolean(), async (config, hasRegistry) => {
        const registry = new Registry();
        const { started, failure } = await outcomeOf(hasRegistry ? { ...config, metricsRegistry: registry } : config);
        if (failure === undefined) {
          accepted += 1;
          if (started !== undefined) expectWhole(started);
          return;
        }
        refused += 1;
        expect(failure).toBeInstanceOf(ConfigError);
        expect((failure as ConfigError).issues.length).toBeGreaterThan(0);
        expect(started, 'no engine was started').toBeUndefined();
        expect(registry.getMetricsAsArray(), 'no metric was registered').toEqual([]);
      }),
      { numRuns: 500 },
    );
    expect(Math.min(refused, accepted)).toBeGreaterThan(0);
  });

  it('of any type is refused and leaves nothing open', async () => {
    await fc.assert(
      fc.asyncProperty(nonsense, async (config) => {
        const { started, failure } = await outcomeOf(config);
        expect(failure).toBeInstanceOf(ConfigError);
        expect(started).toBeUndefined();
      }),
    );
  });
});

describe('a configuration', () => {
  const good = (): ManagerConfig => ({ netlinker: new MemoryRoutes(), bindIP: '10.0.0.1', txMin: 100, rxMin: 100, detectMult: 3 });

  it('with inherited fields is accepted like one with own fields', async () => {
    const { started, failure } = await outcomeOf(Object.create({ ...good(), port: 5_000, minTxFloor: 20 }));
    expect(failure).toBeUndefined();
    expect(started?.options).toMatchObject({ port: 5_000, minTxFloorUs: 20_000, maxTxCeilUs: 1_000_000 });
  });

  it('with an invalid inherited field is refused', async () => {
    const { started, failure } = await outcomeOf(Object.assign(Object.create({ port: -1 }) as object, good()));
    expect(failure).toMatchObject({ code: 'ERR_CONFIG', issues: [{ path: 'port' }] });
    expect(started).toBeUndefined();
  });

  it('whose getters return other values each time is read once', async () => {
    let reads = 0;
    const config = Object.defineProperty(good(), 'port', { enumerable: true, get: () => (reads++ === 0 ? 5_000 : 'x') });
    const { started, failure } = await outcomeOf(config);
    if (failure === undefined) expect(started?.options.port).toBe(5_000);
    else expect(failure).toBeInstanceOf(ConfigError);
  });

  it('whose metric names are taken is refused before an engine is started', async () => {
    const registry = new Registry();
    registry.registerMetric(new Counter({ name: 'liveness_route_installs_total', help: 'of somebody else', registers: [] }));
    const { started, failure } = await outcomeOf({ ...good(), metricsRegistry: registry });
    expect(failure).toMatchObject({ code: 'ERR_CONFIG' });
    expect(started).toBeUndefined();
    expect(registry.getMetricsAsArray()).toHaveLength(1);
  });

  it.each([
    [
      'logger throws',
      {
        logger: {
          ...newLog().logger,
          child: (): never => {
            throw new Error('logger');
          },
        },
      },
    ],
    ['logger has children that are none', { logger: { ...newLog().logger, child: (): object => ({}) }, detectMult: 1 }],
    [
      'registry refuses a metric',
      {
        metricsRegistry: Object.assign(new Registry(), {
          registerMetric: () => {
            throw new Error('full');
          },
        }),
      },
    ],
  ])('whose %s leaves no engine running', async (_, changes) => {
    const { started, failure } = await outcomeOf({ ...good(), ...changes });
    expect(failure).toBeInstanceOf(Error);
    expect(started === undefined || started.closedWith !== undefined).toBe(true);
  });
});
