/** What becomes of an installed route when its peer goes AdminDown (RFC 5882 §3.2). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ManagerConfig, RegisterOptions, Route } from '../../ts/index.js';
import type { ArmedRoute, KernelRoute, SessionRecord } from '../../ts/engine/engine.js';
import { ArmedInstaller } from '../../ts/routes/armed-installer.js';
import type { RegisteredRoute, SessionView } from '../../ts/routes/installer.js';
import { settle, startFake } from './fake-engine.js';

const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const PEER_IP = '10.9.0.2';
const REMOTE_ADMIN: Partial<SessionRecord> = { reason: 'remote_admin', cause: 'handle_rx' };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

async function started(config: Partial<ManagerConfig>, options?: RegisterOptions) {
  const fake = await startFake({ protocol: 'bfd', ...config });
  await fake.manager.registerRoute(ROUTE, 'eth0', options);
  const become = async (to: 'up' | 'down' | 'init' | 'admin_down', changes: Partial<SessionRecord> = {}): Promise<number> => {
    fake.engine.become(PEER_IP, to, changes);
    await settle();
    return fake.routes.routeByProtocol(186).length;
  };
  return { ...fake, become };
}

describe('a route whose peer goes AdminDown', () => {
  it('is withdrawn by default', async () => {
    const { become } = await started({});
    expect(await become('up')).toBe(1);
    expect(await become('down', REMOTE_ADMIN)).toBe(0);
  });

  it.each([
    ['of the configuration', { onPeerAdminDown: 'keep' } as const, undefined],
    ['of the registration', {}, { onPeerAdminDown: 'keep' } as const],
  ])('stays with `keep` %s, until its session is Up again and goes Down for another reason', async (_, config, options) => {
    const { become, manager } = await started(config, options);
    expect(await become('up')).toBe(1);
    expect(await become('down', REMOTE_ADMIN)).toBe(1);
    expect(manager.getSessions()).toMatchObject([{ state: 'down', routes: [{ installed: true }] }]);
    expect(await become('init', REMOTE_ADMIN)).toBe(1);
    expect(await become('up', REMOTE_ADMIN)).toBe(1);
    expect(await become('down', { reason: 'timeout' })).toBe(0);
  });

  it('is withdrawn where its registration says so against the configuration', async () => {
    const { become } = await started({ onPeerAdminDown: 'keep' }, { onPeerAdminDown: 'withdraw' });
    expect(await become('up')).toBe(1);
    expect(await become('down', REMOTE_ADMIN)).toBe(0);
  });

  it.each(['timeout', 'remote_down'] as const)('and whose session then expires in Init (%s) is withdrawn', async (reason) => {
    const { become } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    expect(await become('down', REMOTE_ADMIN)).toBe(1);
    await become('init', REMOTE_ADMIN);
    expect(await become('down', { reason })).toBe(0);
  });

  it('and whose own session is then taken out of service is withdrawn', async () => {
    const { become } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    await become('down', REMOTE_ADMIN);
    expect(await become('admin_down', { reason: 'local_admin', cause: 'admin_down' })).toBe(0);
  });

  it('and that is itself taken out of service is withdrawn', async () => {
    const { become, manager, routes } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    await become('down', REMOTE_ADMIN);
    await manager.adminDownRoute(ROUTE, 'eth0');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('and that was not installed waits for Up', async () => {
    const { become, manager, routes } = await started({ onPeerAdminDown: 'keep' });
    expect(await become('init')).toBe(0);
    expect(await become('down', REMOTE_ADMIN)).toBe(0);
    await manager.registerRoute({ ...ROUTE, priority: 7 }, 'eth0');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
    expect(await become('up')).toBe(2);
  });

  it('is withdrawn when it is withdrawn', async () => {
    const { become, manager, routes } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    await become('down', REMOTE_ADMIN);
    await manager.withdrawRoute(ROUTE, 'eth0');
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('is not moved by news of the same session that are no transition', async () => {
    const { become } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    await become('down', REMOTE_ADMIN);
    expect(await become('down', { count: 0, reason: 'none' })).toBe(1);
  });

  it('follows a change of the choice in place', async () => {
    const { become, manager, routes } = await started({});
    await become('up');
    await manager.registerRoute(ROUTE, 'eth0', { onPeerAdminDown: 'keep' });
    expect(await become('down', REMOTE_ADMIN)).toBe(1);
    await manager.registerRoute(ROUTE, 'eth0', { onPeerAdminDown: 'withdraw' });
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('and that is replaced by one of another peer is not kept for that peer’s AdminDown', async () => {
    const { become, manager, engine, routes } = await started({ onPeerAdminDown: 'keep' });
    await become('up');
    await manager.registerSession({ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.3' });
    engine.become('10.0.0.3', 'up');
    engine.become('10.0.0.3', 'down', REMOTE_ADMIN);
    await manager.registerRoute({ ...ROUTE, nextHop: '10.0.0.3' }, 'eth0', { peerIP: '10.0.0.3' });
    await vi.advanceTimersByTimeAsync(3_300);
    expect(routes.routeByProtocol(186), 'nobody watches the peer of the first route any more').toEqual([]);
  });
});

describe('an armed route', () => {
  it.each([true, false])('tells the engine whether it stays while its peer is AdminDown: %s', (keepsOnPeerAdminDown) => {
    const armed: ArmedRoute[] = [];
    const installer = new ArmedInstaller(
      { arm: (routes) => armed.push(...routes), disarm: () => undefined, retry: () => undefined, setMaintenance: () => undefined },
      () => undefined,
    );
    const session: SessionView = {
      id: 1,
      up: true,
      peerPassive: false,
      isPeerAdminDown: false,
      keepsOnPeerAdminDown,
      holdUpMs: 0,
      damping: undefined,
      downs: 0,
      lastTransition: undefined,
    };
    const kernel: KernelRoute = { table: 254, destination: 0, prefixLength: 32, source: 0, nextHop: 0, protocol: 186, priority: 0 };
    const registered: RegisteredRoute = { ...kernel, id: 1, iface: 'eth0', route: ROUTE, noUninstall: false, adminDown: false, session };
    installer.add([registered]);
    expect(armed.map(({ keepOnPeerAdminDown }) => keepOnPeerAdminDown)).toEqual([keepsOnPeerAdminDown]);
  });
});
