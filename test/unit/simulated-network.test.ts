import { describe, expect, it } from 'vitest';

import {
  type Manager,
  type ManagerConfig,
  MemoryRoutes,
  type RegisterSessionOptions,
  NetlinkRoutes,
  type Route,
  type Transition,
} from '../../ts/index.js';
import { SimulatedNetwork, type SimulatedNetworkOptions } from '../../ts/sim.js';
import { FakeUDP, newLog } from './fake-udp.js';

const [ONE, TWO] = ['10.0.0.1', '10.0.0.2'];
const SECOND = 1_000;

const routeTo = (src: string, peer: string): Route => ({ table: 254, dst: `${peer}/32`, src, nextHop: peer, protocol: 186 });

interface Pair {
  network: SimulatedNetwork;
  one: Manager;
  two: Manager;
  routes: MemoryRoutes;
  transitions: Transition[];
}

async function startPair(options?: SimulatedNetworkOptions, config: Partial<ManagerConfig> = {}): Promise<Pair> {
  const network = new SimulatedNetwork(options);
  const routes = new MemoryRoutes();
  const transitions: Transition[] = [];
  const start = (bindIP: string, netlinker: MemoryRoutes): Promise<Manager> =>
    network.startManager({ netlinker, bindIP, txMin: 50, rxMin: 50, detectMult: 3, ...config });
  const one = await start(ONE, routes);
  const two = await start(TWO, new MemoryRoutes());
  one.on('transition', (transition) => transitions.push(transition));
  await one.registerRoute(routeTo(ONE, TWO), 'eth0');
  await two.registerRoute(routeTo(TWO, ONE), 'eth0');
  return { network, one, two, routes, transitions };
}

const statesOf = ({ one, two }: Pair): (string | undefined)[] => [one, two].map((manager) => manager.getSessions()[0]?.state);

describe('two managers on a simulated network', () => {
  it('come Up and install their routes', async () => {
    const pair = await startPair({ delay: 20 });
    expect(statesOf(pair)).toEqual(['down', 'down']);
    await pair.network.run(SECOND);
    expect(statesOf(pair)).toEqual(['up', 'up']);
    expect(pair.routes.routeByProtocol(186)).toEqual([routeTo(ONE, TWO)]);
  });

  it('go Down one detection time after the last packet of a link that is cut, and recover when it heals', async () => {
    const pair = await startPair();
    await pair.network.run(10 * SECOND);
    pair.network.cut(TWO, ONE);
    const cutAt = Date.UTC(2000, 0) + pair.network.now;
    await pair.network.run(SECOND);
    expect(pair.routes.routeByProtocol(186)).toEqual([]);
    const down = pair.transitions.find(({ from }) => from === 'up');
    expect(down).toMatchObject({ reason: 'timeout', cause: 'detect_timeout' });
    const after = (down?.at.getTime() ?? 0) - cutAt;
    expect(after).toBeGreaterThan(150 - 55);
    expect(after).toBeLessThanOrEqual(151);
    pair.network.heal(TWO, ONE);
    await pair.network.run(3 * SECOND);
    expect(statesOf(pair)).toEqual(['up', 'up']);
    expect(pair.routes.routeByProtocol(186)).toHaveLength(1);
  });

  it('stay Up over a link that loses, delays, duplicates and reorders packets within the detection time', async () => {
    const pair = await startPair({ delay: 5, jitter: 10, loss: 0.02, duplicate: 0.1, reorder: 0.05 }, { detectMult: 10 });
    await pair.network.run(60 * SECOND);
    expect(pair.transitions.filter(({ from }) => from === 'up')).toEqual([]);
    expect(statesOf(pair)).toEqual(['up', 'up']);
  });

  it('count the packets that arrive damaged', async () => {
    const pair = await startPair({ corrupt: 0.5 });
    await pair.network.run(10 * SECOND);
    const invalid = pair.one.stats().endpoints.flatMap(({ rxInvalid }) => Object.values(rxInvalid));
    expect(invalid.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10);
  });

  it('go Down when one host does not run, and the host that was stopped learns it from the other', async () => {
    const pair = await startPair();
    await pair.network.run(5 * SECOND);
    pair.network.stall(ONE, 400);
    await pair.network.run(5 * SECOND);
    expect(pair.transitions.filter(({ from }) => from === 'up')).toMatchObject([{ reason: 'remote_down' }]);
    expect(statesOf(pair)).toEqual(['up', 'up']);
  });

  it.each([
    [60, 0],
    [100, 1],
  ])('warn of a round trip that is longer than the detection time: %s ms each way, %s warnings', async (delay, warnings) => {
    const log = newLog();
    const pair = await startPair({ delay }, { logger: log.logger });
    await pair.network.run(10 * SECOND);
    const texts = log.of('warn').filter(({ message }) => message.includes('is longer than the detection time'));
    // One for each of the two managers, which share the log.
    expect(texts).toHaveLength(2 * warnings);
  });

  it.each([
    ['slower', { txMin: 400, rxMin: 400, detectMult: 3 }],
    ['faster', { txMin: 50, rxMin: 50, detectMult: 2 }],
    ['slower to send, faster to receive', { txMin: 300, rxMin: 50, detectMult: 2 }],
  ])('stay Up when one of them gets %s timers', async (_, timers) => {
    const pair = await startPair({ delay: 20 }, { txMin: 100, rxMin: 100 });
    await pair.network.run(5 * SECOND);
    await pair.one.registerRoute(routeTo(ONE, TWO), 'eth0', timers);
    await pair.network.run(10 * SECOND);
    await pair.one.registerRoute(routeTo(ONE, TWO), 'eth0');
    await pair.network.run(10 * SECOND);
    expect(pair.transitions.filter(({ from }) => from === 'up')).toEqual([]);
    expect(statesOf(pair)).toEqual(['up', 'up']);
  });

  it('announce AdminDown on close, while time runs', async () => {
    const pair = await startPair();
    await pair.network.run(SECOND);
    const closed = pair.one.close({ adminDown: true, withdrawRoutes: true });
    await pair.network.run(SECOND);
    await closed;
    expect(pair.routes.routeByProtocol(186)).toEqual([]);
    expect(pair.two.getSessions()).toMatchObject([{ state: 'down', lastDownReason: 'remote_admin' }]);
  });

  it('may be started again on an address that is free', async () => {
    const pair = await startPair();
    const config = { netlinker: pair.routes, bindIP: ONE, txMin: 50, rxMin: 50, detectMult: 3 };
    await expect(pair.network.startManager(config)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await pair.network.run(SECOND);
    await pair.one.close();
    const again = await pair.network.startManager(config);
    await again.registerRoute(routeTo(ONE, TWO), 'eth0');
    expect(await again.adoptRoutes({ protocol: 186, table: 254 })).toHaveLength(1);
    await pair.network.run(3 * SECOND);
    expect(again.getSessions()).toMatchObject([{ state: 'up' }]);
  });

  it('repeat a run with the same seed, and differ with another', async () => {
    const lossy = async (seed: number): Promise<unknown[]> => {
      const pair = await startPair({ seed, loss: 0.3, jitter: 30 });
      await pair.network.run(30 * SECOND);
      return pair.transitions.map(({ from, to, at }) => [from, to, at.getTime()]);
    };
    const first = await lossy(7);
    expect(first.length).toBeGreaterThan(4);
    expect(await lossy(7)).toEqual(first);
    expect(await lossy(8)).not.toEqual(first);
  });
});

it('a backend that fails is tried again after the backoff, in simulated time', async () => {
  const network = new SimulatedNetwork();
  const attempts: number[] = [];
  const failing = {
    routeAdd: () => {
      attempts.push(network.now);
      if (attempts.length < 5) throw new Error('busy');
    },
    routeDelete: () => undefined,
    routeByProtocol: () => [],
  };
  const start = (bindIP: string, netlinker: ManagerConfig['netlinker']): Promise<Manager> =>
    network.startManager({ netlinker, bindIP, txMin: 50, rxMin: 50, detectMult: 3 });
  const [one, two] = [await start(ONE, failing), await start(TWO, new MemoryRoutes())];
  await one.registerRoute(routeTo(ONE, TWO), 'eth0');
  await two.registerRoute(routeTo(TWO, ONE), 'eth0');
  await network.run(10 * SECOND);
  const waits = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  expect(waits).toHaveLength(4);
  for (const [index, wait] of waits.entries()) {
    expect(wait).toBeGreaterThanOrEqual(75 * 2 ** index);
    expect(wait).toBeLessThanOrEqual(100 * 2 ** index);
  }
  expect(one.getSessions()[0]?.routes).toMatchObject([{ installed: true }]);
});

it('a backend that never answers fails after `routeTimeout` of simulated time', async () => {
  const network = new SimulatedNetwork();
  const hanging = { routeAdd: () => new Promise<void>(() => undefined), routeDelete: () => undefined, routeByProtocol: () => [] };
  const config = { netlinker: hanging, bindIP: ONE, txMin: 50, rxMin: 50, detectMult: 3, passiveMode: true, routeTimeout: 60_000 };
  const manager = await network.startManager(config);
  const outcome = manager.registerRoute(routeTo(ONE, TWO), 'eth0').then(
    () => undefined,
    (error: unknown) => ({ error, at: network.now }),
  );
  await network.run(61 * SECOND);
  expect(await outcome).toMatchObject({ error: { code: 'ERR_ROUTE_BACKEND' }, at: 60_000 });
});

describe('two managers that speak BFD on a simulated network', () => {
  const start = async (
    network: SimulatedNetwork,
    bindIP: string,
    peerIP: string,
    options: RegisterSessionOptions = {},
  ): Promise<Manager> => {
    const config = { netlinker: new MemoryRoutes(), bindIP, txMin: 50, rxMin: 50, detectMult: 3, protocol: 'bfd' } as const;
    const manager = await network.startManager(config);
    await manager.registerSession({ iface: 'eth0', localIP: bindIP, peerIP }, options);
    return manager;
  };

  it.each<[string, string, string, RegisterSessionOptions]>([
    ['over IPv4', ONE, TWO, {}],
    ['over IPv6', '2001:db8::1', '2001:db8::2', {}],
    ['over several hops', ONE, TWO, { multihop: true }],
    ['with a key', ONE, TWO, { auth: { type: 'meticulous-sha1', keys: [{ id: 1, key: 'sesame' }] } }],
  ])('come Up %s, and go Down when the link is cut', async (_, left, right, options) => {
    const network = new SimulatedNetwork({ delay: 5 });
    const managers = [await start(network, left, right, options), await start(network, right, left, options)];
    await network.run(5 * SECOND);
    const session = { state: 'up', detectTime: 150, localDiag: 'none', remoteDiag: 'none', polling: false };
    expect(managers.map((manager) => manager.getSessions()[0])).toMatchObject([session, session]);
    network.cut(right, left);
    await network.run(SECOND);
    expect(managers[0]?.getSessions()).toMatchObject([{ state: 'down', localDiag: 'detection_time_expired' }]);
    expect(managers[1]?.getSessions()).toMatchObject([{ state: 'down', localDiag: 'neighbour_signalled_down' }]);
    network.heal(right, left);
    await network.run(5 * SECOND);
    expect(managers[0]?.getSessions()).toMatchObject([{ state: 'up' }]);
  });
});

describe('a simulated network refuses', () => {
  const config = { netlinker: new MemoryRoutes(), bindIP: ONE, txMin: 50, rxMin: 50, detectMult: 3 };
  const refused = { code: 'ERR_CONFIG' };

  it.each([
    ['a seed that is no integer', { seed: 0.5 }],
    ['a share above 1', { loss: 2 }],
    ['a misspelt option', { los: 0.1 }],
    ['a start that is no date', { start: new Date(Number.NaN) }],
  ])('%s', (_, options) => {
    expect(() => new SimulatedNetwork(options as never)).toThrow(expect.objectContaining(refused));
  });

  it.each([
    ['the kernel as the backend', { netlinker: new NetlinkRoutes() }, 'netlinker'],
    ['a transport of the user', { udp: new FakeUDP() }, 'udp'],
    ['an address that no host has', { bindIP: '0.0.0.0' }, 'bindIP'],
    ['what `Manager.start` refuses', { detectMult: 0 }, 'detectMult'],
  ])('%s', async (_, changes, path) => {
    const start = new SimulatedNetwork().startManager({ ...config, ...changes });
    await expect(start).rejects.toMatchObject({ ...refused, issues: [{ path }] });
  });

  it('a duration, an address or a quality that is none, and a second run at once', async () => {
    const network = new SimulatedNetwork();
    await expect(network.run('1s' as never)).rejects.toMatchObject(refused);
    expect(() => network.cut('one', ONE)).toThrow(expect.objectContaining(refused));
    expect(() => network.setQuality(ONE, TWO, { loss: -1 })).toThrow(expect.objectContaining(refused));
    expect(() => network.stall(ONE, 10)).toThrow(expect.objectContaining(refused));
    const first = network.run(10);
    await expect(network.run(10)).rejects.toMatchObject({ code: 'ERR_SIMULATION' });
    await first;
  });
});
