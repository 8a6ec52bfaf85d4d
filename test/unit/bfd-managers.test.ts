/** Managers of BFD with each other, on a simulated network. */
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';

import { type Manager, type ManagerConfig, MemoryRoutes, type RegisterOptions, type Route, type Transition } from '../../ts/index.js';
import { SimulatedNetwork } from '../../ts/sim.js';
import { scrape } from './fake-udp.js';

const [HERE, THERE] = ['10.0.0.1', '10.0.0.2'];
/** A first packet, three packets of the handshake at one a second, and a Poll. */
const UP_MS = 5_000;

type Auth = NonNullable<RegisterOptions['auth']>;
const auth = (...keys: [number, string][]): Auth => ({ type: 'meticulous-sha1', keys: keys.map(([id, key]) => ({ id, key })) });

const routeTo = (address: string, src: string): Route => ({ table: 254, dst: `${address}/32`, src, nextHop: address, protocol: 186 });
const ROUTE = routeTo(THERE, HERE);
const THEIR_ROUTE = routeTo(HERE, THERE);

interface End {
  readonly manager: Manager;
  readonly routes: MemoryRoutes;
  readonly transitions: Transition[];
  /** Registers the route to the other end, or again with other options. */
  register(options?: RegisterOptions): Promise<void>;
  readonly states: () => string[];
}

async function newEnd(network: SimulatedNetwork, bindIP: string, config: Partial<ManagerConfig>): Promise<End> {
  const routes = new MemoryRoutes();
  const timers = { txMin: 50, rxMin: 60, detectMult: 3 };
  const manager = await network.startManager({ netlinker: routes, protocol: 'bfd', bindIP, ...timers, ...config });
  const transitions: Transition[] = [];
  manager.on('transition', (transition) => transitions.push(transition));
  const register = (options?: RegisterOptions) => manager.registerRoute(bindIP === HERE ? ROUTE : THEIR_ROUTE, 'eth0', options);
  return { manager, routes, transitions, register, states: () => manager.getSessions().map(({ state }) => state) };
}

async function pair(config: Partial<ManagerConfig> = {}, theirs: Partial<ManagerConfig> = {}) {
  const network = new SimulatedNetwork();
  return { network, here: await newEnd(network, HERE, config), there: await newEnd(network, THERE, theirs) };
}

/** A pair whose session is Up. */
async function pairUp(config: Partial<ManagerConfig> = {}, options?: RegisterOptions) {
  const both = await pair(config);
  for (const end of [both.here, both.there]) await end.register(options);
  await both.network.run(UP_MS);
  expect([both.here.states(), both.there.states()]).toEqual([['up'], ['up']]);
  return both;
}

describe('two managers of BFD', () => {
  it('come Up and say what the other asks for, and go Down with diagnostics when the link is cut', async () => {
    const metricsRegistry = new Registry();
    const { network, here, there } = await pairUp({ metricsRegistry });
    expect(here.routes.routeByProtocol(186)).toEqual([ROUTE]);
    expect(here.manager.getSessions()).toMatchObject([
      { remoteDetectMult: 3, remoteTxMin: 50, remoteRxMin: 60, localDiag: 'none', remoteDiag: 'none', polling: false, multihop: false },
    ]);
    expect(here.manager.getSessions()[0]?.authKeyId).toBeUndefined();
    network.cut(THERE, HERE);
    await network.run(1_000);
    expect(here.routes.routeByProtocol(186)).toEqual([]);
    expect(here.transitions.at(-1)).toMatchObject({ to: 'down', reason: 'timeout', localDiag: 'detection_time_expired' });
    const told = { reason: 'remote_down', localDiag: 'neighbour_signalled_down', remoteDiag: 'detection_time_expired' };
    expect(there.transitions.find(({ from }) => from === 'up')).toMatchObject(told);
    const at = 'iface="eth0",local_ip="10.0.0.1"';
    const series = await scrape(metricsRegistry);
    expect(series.get(`liveness_session_diagnostics_total{${at},direction="sent",diagnostic="detection_time_expired"}`)).toBe(1);
  });

  it('roll a key over without a transition, and are Down with keys that differ', async () => {
    const { network, here, there } = await pairUp({}, { auth: auth([1, 'old']) });
    const before = [here, there].map(({ transitions }) => transitions.length);
    for (const keys of [
      [
        [1, 'old'],
        [2, 'new'],
      ],
      [
        [2, 'new'],
        [1, 'old'],
      ],
      [[2, 'new']],
    ] satisfies [number, string][][]) {
      for (const end of [here, there]) {
        await end.register({ auth: auth(...keys) });
        await network.run(2_000);
        expect(end.manager.getSessions()).toMatchObject([{ state: 'up', authKeyId: keys[0]?.[0] }]);
      }
    }
    expect([here, there].map(({ transitions }) => transitions.length)).toEqual(before);
    await here.register({ auth: auth([2, 'another']) });
    await network.run(2_000);
    expect([here.states(), there.states()]).toEqual([['down'], ['down']]);
  });

  it.each([
    [auth([1, 'a']), undefined],
    [auth([1, 'a']), auth([1, 'b'])],
    [auth([1, 'a']), auth([2, 'a'])],
    [auth([1, 'a']), { ...auth([1, 'a']), type: 'sha1' }],
  ] satisfies [Auth, Auth | undefined][])('never come Up with the keys %# on one end and others on the other', async (ours, theirs) => {
    const { network, here, there } = await pair();
    await here.register({ auth: ours });
    await there.register({ auth: theirs });
    await network.run(UP_MS);
    expect([here.states(), there.states()]).toEqual([['down'], ['down']]);
  });

  it('come Up where one end is passive, and never where both are', async () => {
    const { network, here, there } = await pair();
    await here.register({ passive: true });
    await network.run(UP_MS);
    await there.register({ passive: true });
    await network.run(4 * UP_MS);
    expect([here.states(), there.states()]).toEqual([['down'], ['down']]);
    await there.register({ passive: false });
    await network.run(UP_MS);
    expect([here.states(), there.states()]).toEqual([['up'], ['up']]);
  });

  it('come Up over several hops, on the port of their own', async () => {
    const { network, here, there } = await pair();
    await here.register({ multihop: true });
    await there.register();
    await network.run(UP_MS);
    expect(here.states(), 'the other end is on a single hop').toEqual(['down']);
    await there.manager.withdrawRoute(THEIR_ROUTE, 'eth0');
    await there.register({ multihop: true });
    await network.run(UP_MS);
    expect([here.states(), there.states()]).toEqual([['up'], ['up']]);
    expect(here.manager.getSessions()).toMatchObject([{ multihop: true }]);
  });
});

describe('the route to a peer that goes AdminDown', () => {
  it.each([
    ['withdraw', []],
    ['keep', [ROUTE]],
  ] as const)('is as `%s` says, and follows the next Down', async (onPeerAdminDown, left) => {
    const { network, here, there } = await pairUp({ onPeerAdminDown });
    await there.manager.adminDownRoute(THEIR_ROUTE, 'eth0');
    await network.run(10_000);
    expect(here.manager.getSessions()).toMatchObject([
      { state: 'down', lastDownReason: 'remote_admin', remoteDiag: 'administratively_down' },
    ]);
    expect(here.routes.routeByProtocol(186)).toEqual(left);
    await there.manager.adminUpRoute(THEIR_ROUTE, 'eth0');
    await network.run(UP_MS);
    expect(here.states()).toEqual(['up']);
    expect(here.routes.routeByProtocol(186)).toEqual([ROUTE]);
    network.cut(HERE, THERE);
    await network.run(1_000);
    expect(here.routes.routeByProtocol(186)).toEqual([]);
  });

  it('is withdrawn when the session is taken out of service here, although it was kept', async () => {
    const { network, here, there } = await pairUp({ onPeerAdminDown: 'keep' });
    await there.manager.adminDownRoute(THEIR_ROUTE, 'eth0');
    await network.run(1_000);
    expect(here.routes.routeByProtocol(186)).toEqual([ROUTE]);
    await here.manager.adminDownRoute(ROUTE, 'eth0');
    await network.run(100);
    expect(here.routes.routeByProtocol(186)).toEqual([]);
  });
});
