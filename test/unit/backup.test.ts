/** A route with a backup runs on it while its session is not Up. */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { BackupOptions, ManagerConfig, RegisterOptions, Route, RouteOperation } from '../../ts/index.js';
import { MemoryRoutes } from '../../ts/index.js';
import { settle, startFake } from './fake-engine.js';

const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const PEER = '10.9.0.2';
const BACKUP: BackupOptions = { nextHop: '10.0.1.2', iface: 'eth1' };
const WATCHED: BackupOptions = { ...BACKUP, peerIP: '10.0.1.2' };
const SECOND = 1_000;
/** So long the primary is tried first. */
const HOLD = 3_300;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

async function started(backup: BackupOptions, config: Partial<ManagerConfig> = {}, options: RegisterOptions = {}) {
  const fake = await startFake(config);
  const operations: RouteOperation[] = [];
  fake.manager.on('route', (operation) => operations.push(operation));
  await fake.manager.registerRoute(ROUTE, 'eth0', { backup, ...options });
  /** The next hops of the route in the backend. */
  const hops = async (): Promise<string[]> => {
    await settle();
    return fake.routes.routeByProtocol(186).map(({ nextHop }) => nextHop);
  };
  const become = async (peer: string, to: 'up' | 'down', changes = {}): Promise<string[]> => {
    fake.engine.become(peer, to, changes);
    return hops();
  };
  const leg = (): string | undefined => {
    const route = fake.manager.getSessions().flatMap(({ routes }) => routes)[0];
    return route?.leg;
  };
  return { ...fake, operations, hops, become, leg };
}

describe('a route with a backup', () => {
  it('moves there when its session goes Down, and back when it is Up, and tells on which leg it is', async () => {
    const { become, operations, leg, manager } = await started(BACKUP);
    expect(leg()).toBe('none');
    expect(await become(PEER, 'up')).toEqual(['10.0.0.2']);
    expect(leg()).toBe('primary');
    operations.length = 0;
    expect(await become(PEER, 'down')).toEqual(['10.0.1.2']);
    expect(leg()).toBe('backup');
    expect(operations).toMatchObject([{ op: 'add', leg: 'backup', ok: true, route: { nextHop: '10.0.0.2' } }]);
    expect(await become(PEER, 'up')).toEqual(['10.0.0.2']);
    expect(operations.slice(1)).toMatchObject([{ op: 'add', leg: 'primary', ok: true }]);
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(operations.at(-1)).toMatchObject({ op: 'delete', leg: 'primary' });
  });

  it('tries its primary first when it is registered, for as long as Init may last', async () => {
    const { hops } = await started(BACKUP);
    await vi.advanceTimersByTimeAsync(HOLD - 1);
    expect(await hops()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await hops()).toEqual(['10.0.1.2']);
  });

  it('uses a backup that has a session only while that is Up, and is withdrawn when both are Down', async () => {
    const { become, leg, manager } = await started(WATCHED);
    expect(manager.getSessions().map(({ peer }) => peer)).toEqual([
      { iface: 'eth0', localIP: '10.0.0.1', peerIP: PEER },
      { iface: 'eth1', localIP: '10.0.0.1', peerIP: '10.0.1.2' },
    ]);
    await become(PEER, 'up');
    expect(await become(PEER, 'down'), 'the backup was never Up').toEqual([]);
    expect(await become('10.0.1.2', 'up')).toEqual(['10.0.1.2']);
    expect(await become('10.0.1.2', 'down')).toEqual([]);
    expect(leg()).toBe('none');
    expect(await become(PEER, 'up')).toEqual(['10.0.0.2']);
    expect(await become('10.0.1.2', 'up'), 'a backup that is Up moves nothing').toEqual(['10.0.0.2']);
  });

  it('stays on its backup while the return to the primary waits for holdUp', async () => {
    const { become, hops } = await started(BACKUP, { holdUp: 2 * SECOND });
    await become(PEER, 'up');
    expect(await become(PEER, 'down')).toEqual(['10.0.1.2']);
    expect(await become(PEER, 'up')).toEqual(['10.0.1.2']);
    await vi.advanceTimersByTimeAsync(2 * SECOND);
    expect(await hops()).toEqual(['10.0.0.2']);
  });

  it('does not move while it is held, and moves at the release', async () => {
    const { become, hops, manager } = await started(BACKUP);
    await become(PEER, 'up');
    await manager.hold({ duration: 60 * SECOND });
    expect(await become(PEER, 'down')).toEqual(['10.0.0.2']);
    await manager.release();
    expect(await hops()).toEqual(['10.0.1.2']);
  });

  it('stays on its primary at an AdminDown of the peer with `keep`, and moves at any other Down', async () => {
    const { become } = await started(BACKUP, { protocol: 'bfd', onPeerAdminDown: 'keep' });
    await become(PEER, 'up');
    expect(await become(PEER, 'down', { reason: 'remote_admin', cause: 'handle_rx' })).toEqual(['10.0.0.2']);
    await become(PEER, 'up');
    expect(await become(PEER, 'down', { reason: 'timeout' })).toEqual(['10.0.1.2']);
  });

  it('on its way back is taken from a backup that fails although the primary is kept for its passive peer', async () => {
    const { become, routes } = await started(WATCHED, { honorPeerAdvertisedPassive: true });
    await become(PEER, 'up');
    await become('10.0.1.2', 'up');
    expect(await become(PEER, 'down')).toEqual(['10.0.1.2']);
    vi.spyOn(routes, 'routeReplace').mockRejectedValue(new Error('no room'));
    expect(await become(PEER, 'up', { peerPassive: true })).toEqual(['10.0.1.2']);
    await become('10.0.1.2', 'down');
    expect(await become(PEER, 'down', { peerPassive: true })).toEqual([]);
  });

  it('that is never uninstalled moves, and stays where it is when both are Down', async () => {
    const fake = await startFake();
    await fake.manager.registerRoute({ ...ROUTE, noUninstall: true }, 'eth0', { backup: WATCHED });
    const hops = async (): Promise<string[]> => {
      await settle();
      return fake.routes.routeByProtocol(186).map(({ nextHop }) => nextHop);
    };
    fake.engine.become(PEER, 'up');
    fake.engine.become('10.0.1.2', 'up');
    fake.engine.become(PEER, 'down');
    expect(await hops()).toEqual(['10.0.1.2']);
    fake.engine.become('10.0.1.2', 'down');
    expect(await hops()).toEqual(['10.0.1.2']);
  });

  it('is withdrawn from its backup when it is taken out of service, and comes back there', async () => {
    const { become, hops, manager } = await started(BACKUP);
    await become(PEER, 'up');
    await become(PEER, 'down');
    await manager.adminDownRoute(ROUTE, 'eth0');
    expect(await hops()).toEqual([]);
    await manager.adminUpRoute(ROUTE, 'eth0');
    expect(await hops()).toEqual(['10.0.1.2']);
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(await hops()).toEqual([]);
  });

  it('that is registered again without a backup leaves it, and ends the session that watched it', async () => {
    const { become, hops, manager } = await started(WATCHED);
    await become(PEER, 'up');
    await become('10.0.1.2', 'up');
    await become(PEER, 'down');
    await manager.registerRoute(ROUTE, 'eth0');
    expect(manager.getSessions()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(HOLD);
    expect(await hops()).toEqual([]);
  });

  it('shares the session of its backup with routes to that peer, which decide about its options', async () => {
    const { manager, engine } = await started(WATCHED);
    const other: Route = { ...ROUTE, dst: '10.9.0.3/32', nextHop: '10.0.1.2' };
    await manager.registerRoute(other, 'eth1', { peerIP: '10.0.1.2', txMin: 300 });
    expect(manager.getSessions()).toHaveLength(2);
    expect([...engine.sessions.values()].find(({ peerIP }) => peerIP === '10.0.1.2')?.txMinUs).toBe(300_000);
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(manager.getSessions().map(({ peer }) => peer.peerIP)).toEqual(['10.0.1.2']);
    await manager.withdrawRoute(other, 'eth1');
    expect(manager.getSessions()).toEqual([]);
  });

  it('is adopted on the leg on which a predecessor left it, and is not swept', async () => {
    const routes = new MemoryRoutes();
    routes.routeAdd({ ...ROUTE, nextHop: BACKUP.nextHop }, 'eth1');
    const { manager, leg, hops } = await started(BACKUP, { netlinker: routes });
    expect(await manager.adoptRoutes({ protocol: 186, table: 254 })).toMatchObject([{ nextHop: BACKUP.nextHop }]);
    expect(leg()).toBe('backup');
    expect(await manager.sweepRoutes({ protocol: 186, table: 254 })).toEqual([]);
    expect(routes.routeByProtocol(186)).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(HOLD);
    await hops();
    expect(routes.routeByProtocol(186)).toMatchObject([{ nextHop: BACKUP.nextHop }]);
  });

  it('is counted by its leg', async () => {
    const metricsRegistry = new Registry();
    const { become } = await started(BACKUP, { metricsRegistry });
    const legs = async (): Promise<number[]> => {
      const metric = await metricsRegistry.getSingleMetric('liveness_route_legs')?.get();
      return ['primary', 'backup', 'none'].map((leg) => metric?.values.find(({ labels }) => labels['leg'] === leg)?.value ?? -1);
    };
    expect(await legs()).toEqual([0, 0, 1]);
    await become(PEER, 'up');
    expect(await legs()).toEqual([1, 0, 0]);
    await become(PEER, 'down');
    expect(await legs()).toEqual([0, 1, 0]);
  });
});

describe('a backup is refused', () => {
  it.each<[string, unknown, string, string]>([
    ['that is the primary', { nextHop: '10.0.0.2', iface: 'eth0' }, 'ERR_CONFIG', 'Expected `backup.nextHop` to be another next hop'],
    ['of another family', { ...BACKUP, nextHop: '2001:db8::1' }, 'ERR_CONFIG', 'Expected `backup.nextHop` to be an IPv4 unicast address'],
    ['with a peer of another family', { ...BACKUP, peerIP: '2001:db8::1' }, 'ERR_CONFIG', '`backup.peerIP`'],
    ['with a local address and no peer', { ...BACKUP, localIP: '10.0.0.1' }, 'ERR_CONFIG', '`backup.localIP`'],
    ['whose peer is this host', { ...BACKUP, peerIP: '10.0.0.1' }, 'ERR_CONFIG', 'Expected `backup.peerIP` to be another address'],
    ['whose session is that of the route', { nextHop: '10.0.0.3', iface: 'eth0', peerIP: PEER }, 'ERR_CONFIG', 'Expected `backup.peerIP`'],
    ['without an interface', { nextHop: '10.0.1.2' }, 'ERR_CONFIG', '`backup.iface`'],
    ['with an unknown option', { ...BACKUP, metric: 5 }, 'ERR_CONFIG', 'metric'],
    ['that is no object', '10.0.1.2', 'ERR_CONFIG', '`backup`'],
  ])('%s', async (_, backup, code, message) => {
    const { manager } = await startFake();
    const refused = manager.registerRoute(ROUTE, 'eth0', { backup: backup as BackupOptions });
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect(manager.getSessions()).toEqual([]);
  });

  it.each([BACKUP, WATCHED])('on an interface that does not exist: %j', async (backup) => {
    const { manager, engine } = await startFake();
    engine.faults.push({ iface: 'eth9', code: 'ERR_NO_SUCH_INTERFACE' });
    const refused = manager.registerRoute(ROUTE, 'eth0', { backup: { ...backup, iface: 'eth9' } });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_NO_SUCH_INTERFACE',
      message: expect.stringContaining('Expected `backup.iface`') as string,
    });
    expect(manager.getSessions()).toEqual([]);
  });

  it('in passive mode', async () => {
    const { manager } = await startFake({ passiveMode: true });
    await expect(manager.registerRoute(ROUTE, 'eth0', { backup: BACKUP })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
  });
});
