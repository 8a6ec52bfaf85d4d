import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Registry } from 'prom-client';

import { type Peer, type Route, type RouteReaderWriter, type Transition } from '../../ts/index.js';
import { ManagedRoute } from '../../ts/manager/managed-route.js';
import { ManagedSession } from '../../ts/manager/managed-session.js';
import { settle, startFake } from './fake-engine.js';

const ROUTE: Route = { table: 254, dst: '2001:db8:9::2/128', src: '2001:db8::1', nextHop: 'fe80::2', protocol: 186 };
const IPV4: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const PEER: Peer = { iface: 'eth0', localIP: '2001:db8::1', peerIP: '2001:db8:9::2' };
const BOTH = { bindIP: ['10.0.0.1', '::'] };
const LEFT = { protocol: 186, table: 254 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a route of IPv6', () => {
  it('is installed while its session is Up, and its texts are canonical wherever they are shown', async () => {
    const { manager, engine, routes } = await startFake({ bindIP: '::' });
    const transitions: Transition[] = [];
    manager.on('transition', (transition) => transitions.push(transition));
    await manager.registerRoute({ ...ROUTE, dst: '2001:DB8:9:0::2/128', src: '2001:0db8::1', nextHop: 'FE80::0:2' }, 'eth0');
    expect([...engine.sessions.values()]).toMatchObject([PEER]);
    engine.become(PEER.peerIP, 'up');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
    expect(transitions).toMatchObject([{ peer: PEER, to: 'up' }]);
    expect(manager.getSessions()).toMatchObject([{ peer: PEER, route: ROUTE, routes: [{ installed: true }] }]);
    engine.become(PEER.peerIP, 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('is registered once, found and withdrawn, however its addresses are written', async () => {
    const { manager, engine } = await startFake({ bindIP: '::' });
    const other = { ...ROUTE, dst: '2001:DB8:9::0002/128', src: '2001:db8:0:0::1', nextHop: 'fe80:0::2', priority: 1024 };
    await manager.registerRoute(ROUTE, 'eth0');
    await manager.registerRoute(other, 'eth0');
    expect(engine.calls).toEqual(['add 1']);
    expect(manager.getSession({ iface: 'eth0', localIP: '2001:DB8::1', peerIP: '2001:db8:9:0:0:0:0:2' })?.peer).toEqual(PEER);
    await manager.adminDownRoute(other, 'eth0');
    await manager.withdrawRoute(other, 'eth0');
    expect(manager.getSessions()).toEqual([]);
    expect(engine.sessions.size).toBe(0);
  });

  it.each([
    ['IPv6', ROUTE, undefined, 1024],
    ['IPv6', ROUTE, 0, 1024],
    ['IPv6', ROUTE, 50, 50],
    ['IPv4', IPV4, undefined, 0],
  ])('reaches the engine with the priority by which the kernel lists it: %s', (_, route, priority, listed) => {
    // The engine compares what it ordered with the kernel's listings: with another priority it takes its own route for none.
    const given = priority === undefined ? route : { ...route, priority };
    const session = Object.create(ManagedSession.prototype) as ManagedSession;
    expect(new ManagedRoute(1, given, session).priority).toBe(listed);
  });

  it('of a network needs `peerIP`, which may be link-local', async () => {
    const { manager, engine } = await startFake({ bindIP: '::' });
    const network = { ...ROUTE, dst: '2001:db8:9::/64' };
    await expect(manager.registerRoute(network, 'eth0')).rejects.toThrow('a unicast /128 where `peerIP` does not name the peer');
    await manager.registerRoute(network, 'eth0', { peerIP: 'FE80::2' });
    expect([...engine.sessions.values()]).toMatchObject([{ iface: 'eth0', localIP: '2001:db8::1', peerIP: 'fe80::2' }]);
  });

  it('has a session of its own on each interface where its peer is link-local', async () => {
    const { manager, engine } = await startFake({ bindIP: '::' });
    await manager.registerRoute({ ...ROUTE, dst: '2001:db8:9::/64' }, 'eth0', { peerIP: 'fe80::2' });
    await manager.registerRoute({ ...ROUTE, dst: '2001:db8:8::/64' }, 'eth1', { peerIP: 'fe80::2' });
    expect([...engine.sessions.values()].map(({ iface, peerIP }) => [iface, peerIP])).toEqual([
      ['eth0', 'fe80::2'],
      ['eth1', 'fe80::2'],
    ]);
  });

  it.each([
    ['an IPv4 peer', ROUTE, { peerIP: '10.0.0.2' }, /`peerIP` .*as `route.dst` is of IPv6.*10\.0\.0\.2/],
    ['a peer with a zone', ROUTE, { peerIP: 'fe80::2%eth0' }, /`peerIP` .*without a zone, since `iface` names the interface.*fe80::2%eth0/],
    ['a next hop with a zone', { ...ROUTE, nextHop: 'fe80::2%eth0' }, {}, /`route.nextHop` .*`iface` names the interface/],
    ['a multicast peer', ROUTE, { peerIP: 'ff02::1' }, /`peerIP`/],
    ['an IPv4 next hop', { ...ROUTE, nextHop: '10.0.0.2' }, {}, /`route.nextHop` .*as `route.dst` is of IPv6/],
    ['itself as the peer', ROUTE, { peerIP: '2001:db8::1' }, /`route.src` .*another address than the peer/],
  ])('with %s is refused, and nothing is registered', async (_, route, options, message) => {
    const { manager, engine } = await startFake(BOTH);
    const refused = manager.registerRoute(route, 'eth0', options);
    await expect(refused).rejects.toMatchObject({ code: 'ERR_INVALID_ROUTE', message: expect.stringMatching(message) as string });
    expect(engine.calls).toEqual([]);
  });

  it('of IPv4 with an IPv6 peer is refused', async () => {
    const { manager } = await startFake(BOTH);
    const refused = manager.registerRoute(IPV4, 'eth0', { peerIP: '2001:db8::2' });
    await expect(refused).rejects.toThrow(/`peerIP` .*as `route.dst` is of IPv4/);
  });

  it('shares a manager with routes of IPv4', async () => {
    const { manager, engine, routes } = await startFake(BOTH);
    await manager.registerRoutes([
      { route: ROUTE, iface: 'eth0' },
      { route: IPV4, iface: 'eth0' },
    ]);
    expect(engine.options.bindIPs).toEqual(['10.0.0.1', '::']);
    engine.becomeAll('up');
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(2);
    await manager.withdrawRoutes([
      { route: ROUTE, iface: 'eth0' },
      { route: IPV4, iface: 'eth0' },
    ]);
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('that a predecessor left is adopted if it is registered, and swept if it is not', async () => {
    const { manager, routes } = await startFake({ bindIP: '::' });
    const unwanted = { ...ROUTE, dst: '2001:db8:9::3/128' };
    for (const left of [ROUTE, unwanted]) routes.routeAdd(left, 'eth0');
    await manager.registerRoute(ROUTE, 'eth0');
    expect(await manager.adoptRoutes(LEFT)).toEqual([ROUTE]);
    expect(await manager.sweepRoutes({ ...LEFT, dryRun: true })).toEqual([unwanted]);
    expect(await manager.sweepRoutes(LEFT)).toEqual([unwanted]);
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
  });

  it('is recognized in the listing of a backend that writes addresses in another form', async () => {
    const listed = { ...ROUTE, dst: '2001:DB8:9:0::2/128', src: '2001:db8:0::1', nextHop: 'fe80:0:0::2', priority: 1024 };
    const deleted: Route[] = [];
    const netlinker: RouteReaderWriter = {
      routeAdd: () => undefined,
      routeDelete: (route) => void deleted.push(route),
      routeByProtocol: () => [listed],
    };
    const { manager } = await startFake({ bindIP: '::', netlinker });
    await manager.registerRoute(ROUTE, 'eth0');
    expect(await manager.adoptRoutes(LEFT)).toEqual([listed]);
    expect(await manager.sweepRoutes(LEFT)).toEqual([]);
    expect(deleted).toEqual([]);
  });
});

describe('a session of IPv6', () => {
  it('is registered and withdrawn by any text of its addresses', async () => {
    const { manager, engine } = await startFake({ bindIP: '::' });
    const peer = { iface: 'eth0', localIP: 'FE80::0:1', peerIP: 'fe80:0::2' };
    await manager.registerSession(peer);
    await manager.registerSession({ iface: 'eth0', localIP: 'fe80::1', peerIP: 'fe80::2' });
    expect(engine.calls).toEqual(['add 1']);
    expect(manager.getSession(peer)?.peer).toEqual({ iface: 'eth0', localIP: 'fe80::1', peerIP: 'fe80::2' });
    await manager.withdrawSession(peer);
    expect(engine.sessions.size).toBe(0);
  });

  it.each([
    ['a zone', { peerIP: 'fe80::2%eth0' }, /without a zone, since `iface` names the interface.*fe80::2%eth0/],
    [
      'addresses of two families',
      { peerIP: '10.0.0.2' },
      /`peer.peerIP` to be an IPv6 address, as `peer.localIP` \(2001:db8::1\) is one.*10\.0\.0\.2/,
    ],
    ['a multicast peer', { peerIP: 'ff02::1' }, /`peer.peerIP` to be an IPv6 unicast address/],
    ['an IPv4 address in IPv6', { peerIP: '::ffff:10.0.0.2' }, /`peerIP` to be an IPv4 or IPv6 address/],
    ['one address in two forms', { localIP: '2001:db8::2', peerIP: '2001:DB8::2' }, /another address than `peer.localIP`/],
  ])('with %s is refused', async (_, changes, message) => {
    const { manager, engine } = await startFake(BOTH);
    const refused = manager.registerSession({ ...PEER, ...changes });
    await expect(refused).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) as string });
    expect(engine.calls).toEqual([]);
  });

  it('shows canonical addresses in the labels of its metrics', async () => {
    const metricsRegistry = new Registry();
    const { manager } = await startFake({ bindIP: '::', metricsRegistry, enablePeerMetrics: true });
    await manager.registerSession({ ...PEER, localIP: '2001:DB8::1', peerIP: '2001:db8:9:0::2' });
    expect(await metricsRegistry.metrics()).toContain('local_ip="2001:db8::1",peer_ip="2001:db8:9::2"');
  });
});

describe('a manager', () => {
  it.each([
    ['10.0.0.1', PEER, "add '::' or 2001:db8::1 to `bindIP`"],
    ['::', { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' }, "add '0.0.0.0' or 10.0.0.1 to `bindIP`"],
    [['10.0.0.1', '2001:db8::5'], PEER, '2001:db8::5, which the manager is bound to'],
  ])('that is bound to %s refuses a session of another address with what to change', async (bindIP, peer, message) => {
    const { manager, engine } = await startFake({ bindIP });
    const refused = manager.registerSession(peer);
    await expect(refused).rejects.toMatchObject({ code: 'EADDRNOTAVAIL', message: expect.stringContaining(message) as string });
    expect(engine.calls).toEqual([]);
  });

  it.each([
    ['10.0.0.1', ['10.0.0.1']],
    [
      ['2001:DB8::1', '0.0.0.0'],
      ['2001:db8::1', '0.0.0.0'],
    ],
  ])('that is bound to %j passes the addresses to its engine in canonical form', async (bindIP, bindIPs) => {
    const { manager, engine } = await startFake({ bindIP });
    expect(engine.options.bindIPs).toEqual(bindIPs);
    expect(manager.localAddr()?.address).toBe(bindIPs[0]);
  });
});
