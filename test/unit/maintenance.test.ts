/** A hold keeps routes in place while their sessions are Down, for a limited time. */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { HoldChange, Manager, Route } from '../../ts/index.js';
import { settle, startFake } from './fake-engine.js';

const SECOND = 1_000;
const route = (last: number): Route => ({
  table: 254,
  dst: `10.9.0.${last}/32`,
  src: '10.0.0.1',
  nextHop: `10.0.0.${last}`,
  protocol: 186,
});
const peer = (last: number) => ({ iface: 'eth0', localIP: '10.0.0.1', peerIP: `10.0.0.${last}` });

async function startTwo() {
  const started = await startFake();
  for (const last of [2, 3]) await started.manager.registerRoute(route(last), 'eth0', { peerIP: `10.0.0.${last}` });
  started.engine.becomeAll('up');
  await settle();
  const installed = async (): Promise<string[]> => {
    await settle();
    return started.routes.routeByProtocol(186).map(({ dst }) => dst);
  };
  return { ...started, installed };
}

describe('a hold', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of all sessions keeps every route through a Down, and at its release withdraws those of sessions that are not Up', async () => {
    const { manager, engine, installed } = await startTwo();
    await manager.hold({ duration: 60 * SECOND });
    engine.becomeAll('down');
    expect(await installed()).toHaveLength(2);
    engine.become('10.0.0.2', 'up');
    await manager.release();
    expect(await installed()).toEqual(['10.9.0.2/32']);
  });

  it('of one session leaves the others as they are', async () => {
    const { manager, engine, installed } = await startTwo();
    await manager.hold({ duration: 60 * SECOND, peers: [peer(3)] });
    engine.becomeAll('down');
    expect(await installed()).toEqual(['10.9.0.3/32']);
    await manager.release({ peers: [peer(3)] });
    expect(await installed()).toEqual([]);
  });

  it('ends by itself after its time, which a second hold renews', async () => {
    const { manager, engine, installed } = await startTwo();
    await manager.hold({ duration: 60 * SECOND });
    await vi.advanceTimersByTimeAsync(30 * SECOND);
    await manager.hold({ duration: 60 * SECOND });
    engine.becomeAll('down');
    await vi.advanceTimersByTimeAsync(59 * SECOND);
    expect(await installed()).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(SECOND);
    expect(await installed()).toEqual([]);
    expect(manager.heldUntil).toBeUndefined();
  });

  it('of all and one of a single session end separately, and a release of all ends both', async () => {
    const { manager, engine, installed } = await startTwo();
    await manager.hold({ duration: 90 * SECOND, peers: [peer(2)] });
    await manager.hold({ duration: 60 * SECOND });
    engine.becomeAll('down');
    await vi.advanceTimersByTimeAsync(60 * SECOND);
    expect(await installed()).toEqual(['10.9.0.2/32']);
    await manager.release();
    expect(await installed()).toEqual([]);
  });

  it('holds a session that is registered after it, and keeps no route that is withdrawn by name or taken out of service', async () => {
    const { manager, engine, installed } = await startTwo();
    await manager.hold({ duration: 60 * SECOND });
    await manager.registerRoute(route(4), 'eth0', { peerIP: '10.0.0.4' });
    engine.become('10.0.0.4', 'up');
    expect(await installed()).toHaveLength(3);
    engine.becomeAll('down');
    expect(await installed()).toHaveLength(3);
    await manager.withdrawRoute(route(2), 'eth0');
    await manager.adminDownRoute(route(3), 'eth0');
    expect(await installed()).toEqual(['10.9.0.4/32']);
  });

  it('shows in snapshots and as events, also when its time is over', async () => {
    vi.setSystemTime(new Date('2026-01-01T00:00:00Z'));
    const { manager } = await startTwo();
    const changes: HoldChange[] = [];
    manager.on('hold', (change) => changes.push(change));
    await manager.hold({ duration: 60 * SECOND, peers: [peer(2)] });
    const until = changes[0]?.until;
    expect(Number(until) - Date.now()).toBeCloseTo(60 * SECOND, -2);
    const snapshot = manager.getSession(peer(2));
    expect(Number(snapshot?.heldUntil) - Number(until)).toBeCloseTo(0, -2);
    expect(snapshot?.routes[0]?.heldUntil).toEqual(snapshot?.heldUntil);
    expect(manager.getSession(peer(3))?.heldUntil).toBeUndefined();
    expect(manager.heldUntil).toBeUndefined();
    await vi.advanceTimersByTimeAsync(60 * SECOND);
    await manager.hold({ duration: SECOND });
    await manager.release();
    await manager.release();
    expect(changes.map(({ peers, until: at }) => [peers?.map(({ peerIP }) => peerIP), at !== undefined])).toEqual([
      [['10.0.0.2'], true],
      [['10.0.0.2'], false],
      [undefined, true],
      [undefined, false],
    ]);
  });

  it('shows as a metric how many routes stay by it', async () => {
    const registry = new Registry();
    const { manager, engine } = await startFake({ metricsRegistry: registry });
    for (const last of [2, 3]) await manager.registerRoute(route(last), 'eth0', { peerIP: `10.0.0.${last}` });
    engine.becomeAll('up');
    await settle();
    await manager.hold({ duration: 60 * SECOND });
    const held = async (): Promise<string | undefined> => /^liveness_routes_held\{.*\} (\d+)$/m.exec(await registry.metrics())?.[1];
    expect(await held()).toBe('0');
    engine.become('10.0.0.2', 'down');
    await settle();
    expect(await held()).toBe('1');
  });

  it.each<[string, (manager: Manager) => Promise<void>, string]>([
    ['without a time', (manager) => manager.hold({} as never), 'ERR_CONFIG'],
    ['of more than a day', (manager) => manager.hold({ duration: 86_400_001 }), 'ERR_CONFIG'],
    ['of something that is no peer', (manager) => manager.hold({ duration: 1, peers: [{ iface: 'eth0' } as never] }), 'ERR_CONFIG'],
    ['of a peer without a session', (manager) => manager.hold({ duration: 1, peers: [peer(2), peer(9)] }), 'ERR_NO_SUCH_SESSION'],
    ['of a closed manager', async (manager) => manager.close().then(() => manager.hold({ duration: 1 })), 'ERR_CLOSED'],
  ])('%s is refused and holds nothing', async (_, hold, code) => {
    const { manager, engine, installed } = await startTwo();
    await expect(hold(manager)).rejects.toMatchObject({ code });
    if (code === 'ERR_CLOSED') return;
    engine.becomeAll('down');
    expect(await installed()).toEqual([]);
  });
});
