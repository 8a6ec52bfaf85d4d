import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { MemoryRoutes, newRouteReaderWriter, type Route, type Transition } from '../../ts/index.js';
import { startManager } from '../../ts/manager/manager.js';
import { CONFIG, FakeEngine, settle, startFake } from './fake-engine.js';

const route = (changes: Partial<Route> = {}): Route => ({
  table: 254,
  dst: '10.9.0.2/32',
  src: '10.0.0.1',
  nextHop: '10.0.0.2',
  protocol: 186,
  ...changes,
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a registered route', () => {
  it('is installed while its session is Up, and only then', async () => {
    const { manager, engine, routes } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
    engine.become('10.9.0.2', 'up');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route()]);
    expect(manager.getSessions()).toMatchObject([{ state: 'up', routes: [{ installed: true }] }]);
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('shares a session with other routes to the same peer, which keep the session', async () => {
    const { manager, engine, routes } = await startFake();
    const other = route({ priority: 50 });
    await manager.registerRoutes([
      { route: route(), iface: 'eth0' },
      { route: other, iface: 'eth0' },
    ]);
    expect(engine.calls).toEqual(['add 1']);
    engine.become('10.9.0.2', 'up');
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(2);
    await manager.withdrawRoute(route(), 'eth0');
    expect(routes.routeByProtocol(186)).toEqual([other]);
    expect(engine.sessions.size).toBe(1);
    await manager.withdrawRoute(other, 'eth0');
    expect(engine.sessions.size).toBe(0);
    expect(manager.getSessions()).toEqual([]);
  });

  it('that is registered again is updated in place', async () => {
    const { manager, engine, routes } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await manager.registerRoute(route({ noUninstall: true }), 'eth0', { txMin: 100, detectMult: 5, port: 4000 });
    expect(engine.calls).toEqual(['add 1', 'update 1']);
    expect([...engine.sessions.values()]).toMatchObject([{ txMinUs: 100_000, detectMult: 5, peerPort: 4000 }]);
    await settle();
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(1);
    await manager.withdrawRoute(route(), 'eth0');
    expect(routes.routeByProtocol(186), 'noUninstall: never deleted by us').toHaveLength(1);
  });

  it.each([
    [5000, 5000],
    [0, 44880],
    [undefined, 44880],
  ])('of a manager on port %s expects the peer on port %s', async (port, peerPort) => {
    const { manager, engine } = await startFake({ port });
    await manager.registerRoute(route(), 'eth0');
    expect([...engine.sessions.values()]).toMatchObject([{ peerPort }]);
  });

  it('cannot change the timers of a session that other routes share', async () => {
    const { manager } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    const shared = manager.registerRoute(route({ priority: 1 }), 'eth0', { detectMult: 9 });
    await expect(shared).rejects.toMatchObject({ code: 'ERR_CONFIG', issues: [{ path: 'detectMult' }] });
    expect(manager.getSessions()[0]?.routes).toHaveLength(1);
  });

  it('in the slot of a route on another interface, or of another protocol, is a conflict', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    for (const [rival, iface] of [
      [route(), 'eth1'],
      [route({ protocol: 4 }), 'eth0'],
    ] as const) {
      await expect(manager.registerRoute(rival, iface)).rejects.toMatchObject({ code: 'ERR_ROUTE_CONFLICT' });
    }
    expect(engine.calls).toEqual(['add 1']);
  });

  it('that is withdrawn and registered again during a slow call of the backend ends installed', async () => {
    let release: () => void = () => undefined;
    const routes = new MemoryRoutes();
    const slow = {
      routeAdd: (it: Route) => routes.routeAdd(it),
      routeDelete: (it: Route) =>
        new Promise<void>((resolve) => {
          release = () => {
            routes.routeDelete(it);
            resolve();
          };
        }),
      routeByProtocol: (protocol: number) => routes.routeByProtocol(protocol),
    };
    const { manager, engine } = await startFake({ netlinker: slow });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const withdrawn = manager.withdrawRoute(route(), 'eth0');
    await settle();
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    release();
    await withdrawn;
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route()]);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true }] }]);
  });
});

describe('a source address', () => {
  it('other than `bindIP` is refused, since its packets could not be received', async () => {
    const { manager, engine } = await startFake();
    await expect(manager.registerRoute(route({ src: '10.0.0.3' }), 'eth0')).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
      message: expect.stringContaining('bindIP') as string,
    });
    expect(engine.calls).toEqual([]);
    const open = await startFake({ bindIP: '0.0.0.0' });
    await open.manager.registerRoute(route({ src: '10.0.0.3' }), 'eth0');
  });
});

describe('registering many routes', () => {
  it('makes one call of the engine', async () => {
    const { manager, engine } = await startFake();
    const many = Array.from({ length: 1_000 }, (_, index) => ({
      route: route({ dst: `10.9.${index >> 8}.${index & 255}/32` }),
      iface: 'eth0',
    }));
    await manager.registerRoutes(many);
    expect(engine.calls).toEqual(['add 1000']);
  });

  it('registers nothing if one is invalid, and the error has the index and the reason', async () => {
    const { manager, engine } = await startFake();
    engine.faults.push({ iface: 'gone0', code: 'ERR_NO_SUCH_INTERFACE' });
    const refused = manager.registerRoutes([
      { route: route(), iface: 'eth0' },
      { route: route({ dst: 'nonsense' }), iface: 'eth0' },
      { route: route({ nextHop: '10.0.0.9' }), iface: 'eth0' },
      { route: route({ dst: '10.9.0.3/32' }), iface: 'gone0' },
    ]);
    await expect(refused).rejects.toMatchObject({
      issues: [
        { index: 1, code: 'ERR_INVALID_ROUTE' },
        { index: 2, code: 'ERR_ROUTE_CONFLICT' },
        { index: 3, code: 'ERR_NO_SUCH_INTERFACE' },
      ],
    });
    expect(engine.calls).toEqual([]);
    expect(manager.getSessions()).toEqual([]);
  });

  it('refuses one route with two peers or two protocols, and leaves nothing registered', async () => {
    const { manager, engine } = await startFake();
    for (const other of [{ peerIP: '10.0.0.9' }, { route: route({ protocol: 4 }) }]) {
      const twice = manager.registerRoutes([
        { route: route(), iface: 'eth0' },
        { route: route(), iface: 'eth0', ...other },
      ]);
      await expect(twice).rejects.toMatchObject({ issues: [{ index: 1, code: 'ERR_ROUTE_CONFLICT' }] });
      expect(manager.stats().routes.registered).toBe(0);
    }
    expect(manager.getSession({ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.9' })).toBeUndefined();
    expect(engine.sessions.size).toBe(0);
    await manager.registerRoute(route(), 'eth0', { peerIP: '10.0.0.9' });
  });

  it('beyond the limit of sessions is refused with the value to set', async () => {
    const { manager } = await startFake({ maxEvents: 4 });
    const session = (host: number) => ({ route: route({ dst: `10.9.0.${host}/32` }), iface: 'eth0' });
    await manager.registerRoutes([session(2), session(3)]);
    const refused = manager.registerRoute(session(4).route, 'eth0');
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_TOO_MANY_SESSIONS',
      message: expect.stringContaining('at least 6') as string,
    });
    expect(manager.getSessions()).toHaveLength(2);
  });
});

describe('admin down', () => {
  it('withdraws the route, and takes the session out of service with its last route', async () => {
    const { manager, engine, routes } = await startFake();
    const other = route({ priority: 50 });
    await manager.registerRoute(route(), 'eth0');
    await manager.registerRoute(other, 'eth0');
    engine.become('10.9.0.2', 'up');
    await manager.adminDownRoute(route(), 'eth0');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([other]);
    expect([...engine.sessions.values()]).toMatchObject([{ adminDown: false }]);
    await manager.adminDownRoute(other, 'eth0');
    expect([...engine.sessions.values()]).toMatchObject([{ adminDown: true }]);
    await manager.adminUpRoute(other, 'eth0');
    expect([...engine.sessions.values()]).toMatchObject([{ adminDown: false }]);
  });

  it('of a session ends when a new route joins it', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    await manager.adminDownRoute(route(), 'eth0');
    await manager.registerRoute(route({ priority: 1 }), 'eth0');
    expect([...engine.sessions.values()]).toMatchObject([{ adminDown: false }]);
  });

  it('of an unregistered route is an error', async () => {
    const { manager } = await startFake();
    await expect(manager.adminDownRoute(route(), 'eth0')).rejects.toMatchObject({ code: 'ERR_INVALID_ROUTE' });
  });
});

describe('the route of a passive peer', () => {
  it('stays through a Down with honorPeerAdvertisedPassive, until the peer is active again', async () => {
    const { manager, engine, routes } = await startFake({ honorPeerAdvertisedPassive: true });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up', { peerPassive: true });
    await settle();
    engine.become('10.9.0.2', 'down', { peerPassive: true });
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(1);
    engine.become('10.9.0.2', 'down', { peerPassive: false, count: 0 });
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([]);
  });
});

describe('a route of a previous process', () => {
  const LEFT = { protocol: 186, table: 254 };
  const other = route({ dst: '10.9.0.3/32' });

  /** A backend as a crashed agent leaves it: two routes of ours, one in another table, one of somebody else's. */
  const left = (): MemoryRoutes => {
    const routes = new MemoryRoutes();
    for (const it of [route(), other, route({ table: 100 }), route({ dst: '10.9.0.9/32', protocol: 42 })]) routes.routeAdd(it);
    return routes;
  };

  it('is adopted if it is registered: it stays while the session comes Up', async () => {
    const netlinker = left();
    const { manager, engine } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    expect(await manager.adoptRoutes(LEFT)).toEqual([route()]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(netlinker.routeByProtocol(186)).toHaveLength(3);
    engine.become('10.9.0.2', 'up');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true }] }]);
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(netlinker.routeByProtocol(186)).toEqual([other, route({ table: 100 })]);
  });

  it('is withdrawn if its session does not come Up in time, or is out of service', async () => {
    const netlinker = left();
    const { manager } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    await manager.registerRoute(other, 'eth0');
    await manager.adminDownRoute(other, 'eth0');
    expect(await manager.adoptRoutes(LEFT)).toEqual([route(), other]);
    await settle();
    expect(netlinker.routeByProtocol(186)).toEqual([route(), route({ table: 100 })]);
    await vi.advanceTimersByTimeAsync(3_300);
    expect(netlinker.routeByProtocol(186)).toEqual([route({ table: 100 })]);
  });

  it('is swept if it is not registered, without routes of other protocols or tables', async () => {
    const netlinker = left();
    const { manager } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    expect(await manager.sweepRoutes({ ...LEFT, dryRun: true })).toEqual([other]);
    expect(netlinker.routeByProtocol(186)).toHaveLength(3);
    expect(await manager.sweepRoutes(LEFT)).toEqual([other]);
    expect(netlinker.routeByProtocol(186)).toEqual([route(), route({ table: 100 })]);
    expect(netlinker.routeByProtocol(42)).toHaveLength(1);
  });

  it('is touched only with a valid protocol and table, and a failure of the backend is reported', async () => {
    const { manager } = await startFake({ netlinker: left() });
    await expect(manager.sweepRoutes({ protocol: 0, table: '254' as never })).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      issues: [{ path: 'protocol' }, { path: 'table' }],
    });
    const stubborn = { routeAdd: () => undefined, routeDelete: () => Promise.reject(new Error('no')), routeByProtocol: () => [route()] };
    const second = await startFake({ netlinker: stubborn });
    await expect(second.manager.sweepRoutes(LEFT)).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND', issues: [{ message: 'no' }] });
  });
});

describe('passive mode', () => {
  it('installs at registration and deletes at withdrawal, and transitions have no effect', async () => {
    const { manager, engine, routes } = await startFake({ passiveMode: true });
    await manager.registerRoute(route(), 'eth0');
    expect(routes.routeByProtocol(186)).toHaveLength(1);
    engine.become('10.9.0.2', 'up');
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toHaveLength(1);
    await manager.withdrawRoute(route(), 'eth0');
    expect(routes.routeByProtocol(186)).toEqual([]);
  });

  it('leaves nothing registered if the backend fails', async () => {
    const failing = {
      routeAdd: () => Promise.reject(new Error('no')),
      routeDelete: () => undefined,
      routeByProtocol: () => [],
    };
    const { manager, engine } = await startFake({ passiveMode: true, netlinker: failing });
    const refused = manager.registerRoute(route(), 'eth0');
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND', cause: { message: 'no' } });
    expect(manager.getSessions()).toEqual([]);
    expect(engine.sessions.size).toBe(0);
  });
});

describe('a backend that fails', () => {
  it('is retried with backoff, and the snapshot shows the failure until a retry succeeds', async () => {
    let healthy = false;
    const routes = new MemoryRoutes();
    const attempts: number[] = [];
    const flaky = {
      routeAdd: (it: Route) => {
        attempts.push(Date.now());
        if (!healthy) throw new Error('not now');
        routes.routeAdd(it);
      },
      routeDelete: (it: Route) => routes.routeDelete(it),
      routeByProtocol: () => [],
    };
    const { manager, engine } = await startFake({ netlinker: flaky });
    const seen: boolean[] = [];
    manager.on('route', ({ ok }) => seen.push(ok));
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await vi.advanceTimersByTimeAsync(100 + 200 + 400);
    expect(attempts).toHaveLength(4);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: false, lastError: { message: 'not now' } }] }]);
    healthy = true;
    await vi.advanceTimersByTimeAsync(800);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true, lastError: undefined }] }]);
    expect(seen).toEqual([false, false, false, false, true]);
  });

  it('to answer delays no other route, and the withdrawal rejects after routeTimeout', async () => {
    const routes = new MemoryRoutes();
    const stuck = {
      routeAdd: (it: Route) => routes.routeAdd(it),
      routeDelete: (it: Route) => (it.priority === 1 ? new Promise<void>(() => undefined) : routes.routeDelete(it)),
      routeByProtocol: () => [],
    };
    const { manager, engine } = await startFake({ netlinker: stuck });
    await manager.registerRoute(route(), 'eth0');
    await manager.registerRoute(route({ priority: 1 }), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route({ priority: 1 })]);
    const withdrawn = manager.withdrawRoute(route({ priority: 1 }), 'eth0');
    const refused = expect(withdrawn).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND' });
    await vi.advanceTimersByTimeAsync(5_000);
    await refused;
  });
});

describe('events', () => {
  it('reach every listener even if another one throws', async () => {
    const logged: string[] = [];
    const log = (_: object, message: string): void => void logged.push(message);
    const logger = { child: () => logger, trace: log, debug: log, info: log, warn: log, error: log };
    const { manager, engine } = await startFake({ logger });
    const heard: string[] = [];
    manager.on('transition', () => {
      throw new Error('listener at fault');
    });
    manager.on('transition', ({ to }) => heard.push(to));
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    expect(heard).toEqual(['up']);
    expect(logged.join('\n')).toContain('listener at fault');
  });

  it('are logged with a round trip that is longer than the detection time', async () => {
    const warned: string[] = [];
    const ignore = (): void => undefined;
    const warn = (_: object, message: string): void => void warned.push(message);
    const logger = { child: () => logger, trace: ignore, debug: ignore, info: ignore, warn, error: ignore };
    const { manager, engine } = await startFake({ logger });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up', { longRoundTripUs: 400_000 });
    expect(warned).toEqual(['the round trip, 400 ms at least, is longer than the detection time']);
  });

  it('can be iterated, and a slow consumer gets the newest state of each session with the number of transitions', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    await manager.registerRoute(route({ dst: '10.9.0.3/32' }), 'eth0');
    const transitions = manager.transitions();
    for (let round = 0; round < 100; round += 1) {
      engine.become('10.9.0.2', 'up');
      engine.become('10.9.0.2', 'down');
    }
    engine.become('10.9.0.3', 'init');
    void manager.close();
    const taken: Transition[] = [];
    for await (const transition of transitions) taken.push(transition);
    expect(taken).toMatchObject([
      { peer: { peerIP: '10.9.0.2' }, from: 'down', to: 'down', count: 200 },
      { peer: { peerIP: '10.9.0.3' }, to: 'init', count: 1 },
    ]);
  });

  it('end for an iterator whose signal aborts', async () => {
    const { manager } = await startFake();
    const controller = new AbortController();
    const next = manager.transitions({ signal: controller.signal }).next();
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });
});

describe('the end of a manager', () => {
  it('happens once for concurrent calls of close, and no method works after it', async () => {
    const { manager, engine } = await startFake({ onClose: { adminDown: true } });
    await Promise.all([manager.close(), manager.close()]);
    await manager[Symbol.asyncDispose]();
    await manager.closed;
    expect(engine.closedWith).toEqual({ adminDown: true });
    expect(manager.localAddr()).toBeUndefined();
    await expect(manager.registerRoute(route(), 'eth0')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(() => manager.getSessions()).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
  });

  it('leaves routes in the backend unless withdrawRoutes is set', async () => {
    for (const withdrawRoutes of [false, true]) {
      const { manager, engine, routes } = await startFake();
      await manager.registerRoute(route(), 'eth0');
      engine.become('10.9.0.2', 'up');
      await settle();
      await manager.close({ withdrawRoutes });
      expect(routes.routeByProtocol(186)).toHaveLength(withdrawRoutes ? 0 : 1);
    }
  });

  it('by an engine failure emits `error` once and rejects `closed` without an unhandled rejection', async () => {
    const { manager, engine } = await startFake();
    const errors: Error[] = [];
    manager.on('error', (error) => errors.push(error));
    const failure = new Error('the thread died');
    engine.listener.fatal(failure);
    engine.listener.fatal(failure);
    await expect(manager.closed).rejects.toBe(failure);
    expect(errors).toEqual([failure]);
  });

  it('by an engine failure without a listener of `error` throws nothing', async () => {
    const { manager, engine } = await startFake();
    engine.listener.fatal(new Error('the thread died'));
    await nextTurn();
    await expect(manager.registerRoute(route(), 'eth0')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  it('by a signal rejects a pending start with its reason, and closes a started manager', async () => {
    const reason = new Error('changed my mind');
    const config = { ...CONFIG, netlinker: new MemoryRoutes() };
    const engines: FakeEngine[] = [];
    const start = (signal: AbortSignal) =>
      startManager(config, signal, (_, options, listener) => {
        const engine = new FakeEngine(options, listener);
        engines.push(engine);
        return Promise.resolve(engine);
      });
    await expect(start(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(engines).toEqual([]);

    const during = new AbortController();
    const starting = start(during.signal);
    during.abort(reason);
    await expect(starting).rejects.toBe(reason);
    expect(engines[0]?.closedWith).toBeDefined();

    const later = new AbortController();
    const manager = await start(later.signal);
    later.abort();
    await manager.closed;
    expect(engines[1]?.closedWith).toBeDefined();
  });
});

describe('newRouteReaderWriter', () => {
  it('registers, withdraws, and lists the routes registered on its interface, installed or not', async () => {
    const { manager, routes } = await startFake();
    const scoped = newRouteReaderWriter(manager, routes, 'eth0', { port: 4000 });
    await scoped.routeAdd(route());
    await manager.registerRoute(route({ dst: '10.9.0.3/32' }), 'eth1');
    expect(await scoped.routeByProtocol(186)).toEqual([route()]);
    routes.routeAdd(route({ protocol: 4, table: 7 }));
    expect(await scoped.routeByProtocol(4)).toEqual([route({ protocol: 4, table: 7 })]);
    await scoped.routeDelete(route());
    expect(await scoped.routeByProtocol(186)).toEqual([]);
  });
});
