import { describe, expect, it, vi } from 'vitest';

import { MemoryRoutes, type Route, type Transition } from '../../ts/index.js';
import { SimulatedNetwork } from '../../ts/sim.js';
import { settle, startFake } from './fake-engine.js';

const PEER = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.9.0.2' };
const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };

describe('a session that is registered without a route', () => {
  it('runs, reports its transitions, and has no route in its snapshot', async () => {
    const { manager, engine } = await startFake();
    const transitions: Transition[] = [];
    manager.on('transition', (transition) => transitions.push(transition));
    await manager.registerSession(PEER, { txMin: 80, port: 5_000 });
    expect([...engine.sessions.values()]).toMatchObject([{ txMinUs: 80_000, peerPort: 5_000 }]);
    engine.become('10.9.0.2', 'up');
    await settle();
    expect(transitions).toMatchObject([{ peer: PEER, to: 'up' }]);
    expect(manager.getSession(PEER)).toMatchObject({ state: 'up', route: undefined, routes: [] });
    expect(manager.getSessions()).toHaveLength(1);
  });

  it('ends when it is withdrawn', async () => {
    const { manager, engine } = await startFake();
    await manager.registerSession(PEER);
    await manager.withdrawSession(PEER);
    expect(engine.sessions.size).toBe(0);
    expect(manager.getSession(PEER)).toBeUndefined();
    await manager.withdrawSession(PEER);
    expect(engine.calls).toEqual(['add 1', 'remove 1']);
  });

  it('is shared with a route to the same peer, and stays when the route is withdrawn', async () => {
    const { manager, engine, routes } = await startFake();
    await manager.registerSession(PEER);
    await manager.registerRoute(ROUTE, 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    expect(engine.sessions.size).toBe(1);
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
    expect(manager.getSession(PEER)).toMatchObject({ route: ROUTE, routes: [{ installed: true }] });
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(engine.sessions.size).toBe(1);
    expect(manager.getSession(PEER)).toMatchObject({ state: 'up', route: undefined });
  });

  it('stays for its route when it is withdrawn', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(ROUTE, 'eth0');
    await manager.registerSession(PEER);
    await manager.withdrawSession(PEER);
    expect(engine.sessions.size).toBe(1);
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(engine.sessions.size).toBe(0);
  });

  it('is updated in place when it is registered again with other timers', async () => {
    const { manager, engine } = await startFake();
    await manager.registerSession(PEER);
    await manager.registerSession(PEER, { detectMult: 5 });
    expect(engine.calls).toEqual(['add 1', 'update 1']);
    expect([...engine.sessions.values()]).toMatchObject([{ detectMult: 5 }]);
  });

  it('is not changed by a route with other timers, nor changes the session of a route', async () => {
    const { manager, engine } = await startFake();
    const shared = { code: 'ERR_CONFIG', message: expect.stringMatching(/shared with other registrations.*detectMult/) as string };
    await manager.registerSession(PEER);
    await expect(manager.registerRoute(ROUTE, 'eth0', { detectMult: 5 })).rejects.toMatchObject(shared);
    await manager.registerRoute(ROUTE, 'eth0');
    await expect(manager.registerSession(PEER, { detectMult: 5 })).rejects.toMatchObject(shared);
    expect(engine.calls).toEqual(['add 1']);
  });

  it('is in service although all its routes are out of service', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(ROUTE, 'eth0');
    await manager.adminDownRoute(ROUTE, 'eth0');
    const isAdminDown = (): boolean[] => [...engine.sessions.values()].map(({ adminDown }) => adminDown);
    expect(isAdminDown()).toEqual([true]);
    await manager.registerSession(PEER);
    expect(isAdminDown()).toEqual([false]);
    await manager.withdrawSession(PEER);
    expect(isAdminDown()).toEqual([true]);
  });

  it('changes in one call with the route that shares it', async () => {
    const { manager, engine } = await startFake();
    const together = (detectMult: number): Promise<void> => {
      return manager.registerTogether([{ route: ROUTE, iface: 'eth0', detectMult }], [{ peer: PEER, options: { detectMult } }]);
    };
    await together(3);
    await together(5);
    expect(engine.calls).toEqual(['add 1', 'update 1']);
    expect([...engine.sessions.values()]).toMatchObject([{ detectMult: 5 }]);
    const differing = manager.registerTogether(
      [{ route: ROUTE, iface: 'eth0', detectMult: 5 }],
      [{ peer: PEER, options: { detectMult: 7 } }],
    );
    await expect(differing).rejects.toMatchObject({ issues: [{ index: 1, code: 'ERR_CONFIG' }] });
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(manager.getSession(PEER)).toMatchObject({ routes: [] });
  });

  it('is not registered in passive mode where the backend refuses a route of the same call', async () => {
    const netlinker = new MemoryRoutes();
    vi.spyOn(netlinker, 'routeAdd').mockImplementation(() => {
      throw new Error('no room');
    });
    const { manager, engine } = await startFake({ passiveMode: true, netlinker });
    const other = { ...PEER, peerIP: '10.9.0.3' };
    await manager.registerSession(other);
    const sessions = [PEER, other].map((peer) => ({ peer, options: { detectMult: 5 } }));
    const refused = manager.registerTogether([{ route: ROUTE, iface: 'eth0', detectMult: 5 }], sessions);
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND' });
    expect([...engine.sessions.values()]).toMatchObject([{ peerIP: '10.9.0.3', detectMult: 3 }]);
    expect(manager.getSessions().map(({ peer }) => peer)).toEqual([other]);
  });

  it.each([
    ['no peer', undefined],
    ['an address that no host has', { ...PEER, peerIP: '224.0.0.1' }],
    ['the same address twice', { ...PEER, peerIP: PEER.localIP }],
    ['a misspelt field', { ...PEER, peerip: '10.9.0.2' }],
  ])('is refused with %s, and costs nothing', async (_, peer) => {
    const { manager, engine } = await startFake();
    await expect(manager.registerSession(peer as never)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
    expect(engine.calls).toEqual([]);
    expect(manager.getSessions()).toEqual([]);
  });

  it('is refused with an option of routes, on an interface that does not exist, and at the limit of sessions', async () => {
    const { manager, engine } = await startFake({ maxEvents: 4 });
    await expect(manager.registerSession(PEER, { peerIP: '10.9.0.2' } as never)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
    engine.faults.push({ iface: 'eth9', code: 'ERR_NO_SUCH_INTERFACE' }, { localIP: '10.0.0.9', code: 'EADDRNOTAVAIL' });
    await expect(manager.registerSession({ ...PEER, iface: 'eth9' })).rejects.toMatchObject({ code: 'ERR_NO_SUCH_INTERFACE' });
    const error = { code: 'EADDRNOTAVAIL', message: expect.stringContaining('`peer.localIP`') as string };
    await expect(manager.registerSession({ ...PEER, localIP: '10.0.0.9' })).rejects.toMatchObject(error);
    expect(engine.calls).toEqual([]);
    await manager.registerSession(PEER);
    await manager.registerSession({ ...PEER, peerIP: '10.9.0.3' });
    await expect(manager.registerSession({ ...PEER, peerIP: '10.9.0.4' })).rejects.toMatchObject({ code: 'ERR_TOO_MANY_SESSIONS' });
    await manager.close();
    await expect(manager.registerSession(PEER)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

it('two managers come Up with sessions alone, and go Down when the link is cut', async () => {
  const network = new SimulatedNetwork();
  const start = (bindIP: string) => network.startManager({ netlinker: new MemoryRoutes(), bindIP, txMin: 50, rxMin: 50, detectMult: 3 });
  const [one, two] = [await start('10.0.0.1'), await start('10.0.0.2')];
  await one.registerSession({ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' });
  await two.registerSession({ iface: 'eth0', localIP: '10.0.0.2', peerIP: '10.0.0.1' });
  await network.run(1_000);
  expect([one, two].map((manager) => manager.getSessions()[0]?.state)).toEqual(['up', 'up']);
  network.cut('10.0.0.1', '10.0.0.2');
  await network.run(1_000);
  expect(two.getSessions()).toMatchObject([{ state: 'down', lastDownReason: 'timeout' }]);
});
