/** Registrations, withdrawals and the end, that follow each other without waiting: what they come to, and what is told. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { MemoryRoutes, newRouteReaderWriter, type Route, type RouteReaderWriter, type RouteWatcher } from '../../ts/index.js';
import type { RouteArming, RouteOutcome } from '../../ts/engine/engine.js';
import { ArmedInstaller } from '../../ts/routes/armed-installer.js';
import type { RegisteredRoute } from '../../ts/routes/installer.js';
import { settle, startFake } from './fake-engine.js';

const route = (changes: Partial<Route> = {}): Route => ({
  table: 254,
  dst: '10.9.0.2/32',
  src: '10.0.0.1',
  nextHop: '10.0.0.2',
  protocol: 186,
  ...changes,
});
const LEFT = { protocol: 186, table: 254 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime', 'Date'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What became of a promise, without waiting for it. */
function watched(promise: Promise<unknown>): { state: string } {
  const seen = { state: 'pending' };
  promise.then(
    () => (seen.state = 'resolved'),
    (error: unknown) => (seen.state = String((error as { code?: unknown }).code)),
  );
  return seen;
}

/** A backend over tables in memory whose calls are answered, and act, when the test says so. */
class SteeredRoutes implements RouteReaderWriter {
  readonly tables = new MemoryRoutes();
  readonly calls: { what: string; act: () => void; answer: (error?: Error) => void }[] = [];

  routeAdd(it: Route, iface?: string): Promise<void> {
    return this.#call(`add ${it.nextHop}`, () => this.tables.routeAdd(it, iface));
  }

  routeDelete(it: Route, iface?: string): Promise<void> {
    return this.#call(`delete ${it.nextHop}`, () => this.tables.routeDelete(it, iface));
  }

  routeByProtocol(protocol: number): Route[] {
    return this.tables.routeByProtocol(protocol);
  }

  get open(): string[] {
    return this.calls.map(({ what }) => what);
  }

  /** Has the oldest open call act and answers it. */
  async finish(): Promise<void> {
    const call = this.calls[0];
    call?.act();
    call?.answer();
    await settle();
  }

  async finishAll(): Promise<void> {
    while (this.calls.length > 0) await this.finish();
  }

  #call(what: string, act: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = {
        what,
        act,
        answer: (error?: Error): void => {
          this.calls.splice(this.calls.indexOf(call), 1);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.calls.push(call);
    });
  }
}

describe('a route that is withdrawn and registered twice without waiting', () => {
  it('ends installed, and every call settles', async () => {
    const netlinker = new SteeredRoutes();
    const { manager, engine } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    await netlinker.finishAll();
    const calls = [
      manager.withdrawRoute(route(), 'eth0'),
      manager.registerRoute(route(), 'eth0'),
      manager.withdrawRoute(route(), 'eth0'),
      manager.registerRoute(route(), 'eth0'),
    ].map(watched);
    await settle();
    engine.become('10.9.0.2', 'up');
    await settle();
    await netlinker.finishAll();
    expect(calls.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved', 'resolved']);
    expect(manager.stats().routes.registered).toBe(1);
    expect(netlinker.tables.routeByProtocol(186)).toEqual([route()]);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true }] }]);
  });
});

describe('an addition that timed out', () => {
  it('and takes effect during the following deletion does not stay', async () => {
    const netlinker = new SteeredRoutes();
    const { manager, engine } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const addition = netlinker.calls[0];
    await vi.advanceTimersByTimeAsync(5_000);
    engine.become('10.9.0.2', 'down');
    await settle();
    const deletion = netlinker.calls[1];
    expect(netlinker.open).toEqual(['add 10.0.0.2', 'delete 10.0.0.2']);
    deletion?.act();
    addition?.act();
    addition?.answer();
    await settle();
    deletion?.answer();
    await settle();
    await netlinker.finishAll();
    expect(netlinker.tables.routeByProtocol(186)).toEqual([]);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: false }] }]);
  });

  it('in passive mode, after its registration was refused, is deleted when it takes effect', async () => {
    const netlinker = new SteeredRoutes();
    const { manager } = await startFake({ netlinker, passiveMode: true });
    const registered = watched(manager.registerRoute(route(), 'eth0'));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(registered.state).toBe('ERR_ROUTE_BACKEND');
    expect(manager.getSessions()).toEqual([]);
    await netlinker.finishAll();
    expect(netlinker.tables.routeByProtocol(186)).toEqual([]);
  });

  it('belongs to the next registration of its slot', async () => {
    const netlinker = new SteeredRoutes();
    const { manager } = await startFake({ netlinker, passiveMode: true });
    const refused = watched(manager.registerRoute(route(), 'eth0'));
    await vi.advanceTimersByTimeAsync(5_000);
    const other = watched(manager.registerRoute(route({ nextHop: '10.0.0.9' }), 'eth0'));
    await settle();
    await netlinker.finishAll();
    expect([refused.state, other.state]).toEqual(['ERR_ROUTE_BACKEND', 'resolved']);
    expect(netlinker.tables.routeByProtocol(186)).toEqual([route({ nextHop: '10.0.0.9' })]);
  });
});

describe('a backend that is slower than routeTimeout', () => {
  it('has its late answers counted, and is not called again and again', async () => {
    const tables = new MemoryRoutes();
    let adds = 0;
    const slow: RouteReaderWriter = {
      routeAdd: async (it) => {
        adds += 1;
        await new Promise((resolve) => setTimeout(resolve, 8_000));
        tables.routeAdd(it);
      },
      routeDelete: (it) => tables.routeDelete(it),
      routeByProtocol: (protocol) => tables.routeByProtocol(protocol),
    };
    const { manager, engine } = await startFake({ netlinker: slow });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true, lastError: undefined }] }]);
    expect(adds).toBeLessThanOrEqual(2);
  });

  it('gets a limited number of retries at once, spread over time', async () => {
    let running = 0;
    let most = 0;
    const starts: number[] = [];
    let isFirst = true;
    const failing: RouteReaderWriter = {
      routeAdd: async () => {
        if (!isFirst) starts.push(Date.now());
        running += 1;
        if (!isFirst) most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, isFirst ? 0 : 20));
        running -= 1;
        throw new Error('not now');
      },
      routeDelete: () => undefined,
      routeByProtocol: () => [],
    };
    const { manager, engine } = await startFake({ netlinker: failing });
    const many = Array.from({ length: 200 }, (_, index) => ({
      route: route({ dst: `10.10.${index >> 8}.${index & 255}/32`, nextHop: '10.0.0.2' }),
      iface: 'eth0',
      peerIP: '10.0.0.2',
    }));
    await manager.registerRoutes(many);
    engine.become('10.0.0.2', 'up');
    await vi.advanceTimersByTimeAsync(1);
    isFirst = false;
    await vi.advanceTimersByTimeAsync(300);
    expect(most).toBeLessThanOrEqual(64);
    expect(new Set(starts).size).toBeGreaterThan(10);
  });
});

describe('a withdrawal', () => {
  it('that the backend refuses rejects when the manager closes, since the route is still installed', async () => {
    const stubborn: RouteReaderWriter = {
      routeAdd: () => undefined,
      routeDelete: () => Promise.reject(new Error('no')),
      routeByProtocol: () => [route()],
    };
    const { manager, engine } = await startFake({ netlinker: stubborn });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const withdrawn = watched(manager.withdrawRoute(route(), 'eth0'));
    await settle();
    await manager.close();
    await settle();
    expect(withdrawn.state).toBe('ERR_CLOSED');
  });

  it('that is pending is waited for by `close` with withdrawRoutes', async () => {
    const netlinker = new SteeredRoutes();
    const { manager, engine } = await startFake({ netlinker });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    await netlinker.finishAll();
    const withdrawn = watched(manager.withdrawRoute(route(), 'eth0'));
    const closed = watched(manager.close({ withdrawRoutes: true }));
    await settle();
    expect(closed.state).toBe('pending');
    await netlinker.finishAll();
    await settle();
    expect([withdrawn.state, closed.state]).toEqual(['resolved', 'resolved']);
    expect(netlinker.tables.routeByProtocol(186)).toEqual([]);
  });
});

describe('the end of the manager', () => {
  it('settles a passive registration, an adoption and a sweep that wait for the backend', async () => {
    const hanging: RouteReaderWriter = {
      routeAdd: () => new Promise(() => undefined),
      routeDelete: () => new Promise(() => undefined),
      routeByProtocol: () => new Promise(() => undefined),
    };
    const { manager } = await startFake({ netlinker: hanging, passiveMode: true });
    const waiting = [manager.registerRoute(route(), 'eth0'), manager.adoptRoutes(LEFT), manager.sweepRoutes(LEFT)].map(watched);
    await settle();
    await manager.close();
    await settle();
    expect(waiting.map(({ state }) => state)).toEqual(['ERR_CLOSED', 'ERR_CLOSED', 'ERR_CLOSED']);
  });

  it('leaves routes in the backend although sessions go to AdminDown', async () => {
    for (const passiveMode of [false, true]) {
      const { manager, engine, routes } = await startFake({ passiveMode });
      await manager.registerRoute(route(), 'eth0');
      engine.become('10.9.0.2', 'up');
      await settle();
      engine.close = () => {
        engine.become('10.9.0.2', 'admin_down');
        return Promise.resolve(undefined);
      };
      await manager.close({ adminDown: true });
      await settle();
      expect(routes.routeByProtocol(186)).toEqual([route()]);
    }
  });
});

describe('adopting and sweeping', () => {
  it('reject after `routeTimeout` if the backend does not answer', async () => {
    const hanging: RouteReaderWriter = {
      routeAdd: () => undefined,
      routeDelete: () => undefined,
      routeByProtocol: () => new Promise(() => undefined),
    };
    const { manager } = await startFake({ netlinker: hanging, routeTimeout: 2_000 });
    const waiting = [manager.adoptRoutes(LEFT), manager.sweepRoutes(LEFT)].map(watched);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(waiting.map(({ state }) => state)).toEqual(['pending', 'pending']);
    await vi.advanceTimersByTimeAsync(1);
    expect(waiting.map(({ state }) => state)).toEqual(['ERR_ROUTE_BACKEND', 'ERR_ROUTE_BACKEND']);
  });

  it('leave routes of IPv6 alone where the manager is bound to IPv4, so that it can have registered none', async () => {
    const routes = new MemoryRoutes();
    const other = { table: 254, dst: '2001:db8::/64', src: '2001:db8:1::1', nextHop: 'fe80::2', protocol: 186 };
    routes.routeAdd(other, 'eth0');
    routes.routeAdd(route());
    const { manager } = await startFake({ netlinker: routes });
    expect(await manager.sweepRoutes(LEFT)).toEqual([route()]);
    expect(routes.routeByProtocol(186)).toEqual([other]);
  });

  it('do not report a deletion that had no effect', async () => {
    const deaf: RouteReaderWriter = {
      routeAdd: () => undefined,
      routeDelete: () => undefined,
      routeByProtocol: () => [route()],
    };
    const { manager } = await startFake({ netlinker: deaf });
    await expect(manager.sweepRoutes(LEFT)).rejects.toMatchObject({ issues: [{ code: 'ERR_ROUTE_BACKEND' }] });
  });

  it('distinguish a route on another interface, or with another source, from a registered one', async () => {
    const routes = new MemoryRoutes();
    const { manager } = await startFake({ netlinker: routes });
    await manager.registerRoute(route(), 'eth0');
    routes.routeAdd(route(), 'eth1');
    expect(await manager.adoptRoutes(LEFT)).toEqual([]);
    routes.routeAdd(route({ src: '10.0.0.7' }), 'eth0');
    expect(await manager.adoptRoutes(LEFT)).toEqual([]);
    expect(await manager.sweepRoutes(LEFT)).toEqual([route({ src: '10.0.0.7' })]);
  });
});

describe('a passive registration of several routes of which one fails', () => {
  it('leaves the earlier routes and their timers as they were', async () => {
    const routes = new MemoryRoutes();
    const picky: RouteReaderWriter = {
      routeAdd: (it) => {
        if (it.priority === 1) throw new Error('not that one');
        routes.routeAdd(it);
      },
      routeDelete: (it) => routes.routeDelete(it),
      routeByProtocol: (protocol) => routes.routeByProtocol(protocol),
    };
    const { manager, engine } = await startFake({ netlinker: picky, passiveMode: true });
    await manager.registerRoute(route(), 'eth0', { detectMult: 4 });
    const both = manager.registerRoutes([
      { route: route(), iface: 'eth0', detectMult: 9 },
      { route: route({ priority: 1 }), iface: 'eth0', detectMult: 9 },
    ]);
    await expect(both).rejects.toMatchObject({ issues: [{ index: 1, code: 'ERR_ROUTE_BACKEND' }] });
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route()]);
    expect([...engine.sessions.values()]).toMatchObject([{ detectMult: 4 }]);
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: true }] }]);
  });
});

describe('passive mode', () => {
  it('keeps the route when it goes out of service: only a withdrawal deletes it', async () => {
    const { manager, engine, routes } = await startFake({ passiveMode: true });
    await manager.registerRoute(route(), 'eth0');
    await manager.adminDownRoute(route(), 'eth0');
    await settle();
    expect([...engine.sessions.values()]).toMatchObject([{ adminDown: true }]);
    expect(routes.routeByProtocol(186)).toEqual([route()]);
    await manager.withdrawRoute(route(), 'eth0');
    expect(routes.routeByProtocol(186)).toEqual([]);
  });
});

describe('a prefix that is registered again', () => {
  it('with another next hop is replaced without a transition of its session', async () => {
    const { manager, engine, routes } = await startFake();
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const operations: string[] = [];
    manager.on('route', ({ op, route: moved }) => operations.push(`${op} ${moved.nextHop}`));
    await manager.registerRoute(route({ nextHop: '10.0.0.9' }), 'eth0');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route({ nextHop: '10.0.0.9' })]);
    expect(engine.calls).toEqual(['add 1']);
    expect(operations).toEqual(['add 10.0.0.9']);
  });

  it('with another source keeps the previous route while the new session comes Up, for 3.3 s at most', async () => {
    for (const comesUp of [true, false]) {
      const { manager, engine, routes } = await startFake({ bindIP: '0.0.0.0' });
      await manager.registerRoute(route(), 'eth0');
      engine.become('10.9.0.2', 'up');
      await settle();
      const moved = route({ src: '10.0.0.5' });
      await manager.registerRoute(moved, 'eth0');
      await settle();
      expect(routes.routeByProtocol(186)).toEqual([route()]);
      expect([...engine.sessions.values()]).toMatchObject([{ localIP: '10.0.0.5' }]);
      if (comesUp) engine.become('10.9.0.2', 'up');
      await vi.advanceTimersByTimeAsync(3_300);
      expect(routes.routeByProtocol(186)).toEqual(comesUp ? [moved] : []);
    }
  });

  it('by newRouteReaderWriter, with its previous route deleted afterwards as BGP does, stays as the new one', async () => {
    const { manager, engine, routes } = await startFake();
    const scoped = newRouteReaderWriter(manager, routes, 'eth0');
    await scoped.routeAdd(route());
    engine.become('10.9.0.2', 'up');
    await settle();
    await scoped.routeAdd(route({ nextHop: '10.0.0.9' }));
    await scoped.routeDelete(route());
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([route({ nextHop: '10.0.0.9' })]);
  });

  it('while its deletion fails takes the slot, with any next hop and interface', async () => {
    let refuses = true;
    const tables = new MemoryRoutes();
    const stubborn: RouteReaderWriter = {
      routeAdd: (it, iface) => tables.routeAdd(it, iface),
      routeDelete: (it, iface) => {
        if (refuses) throw new Error('not now');
        tables.routeDelete(it, iface);
      },
      routeByProtocol: (protocol) => tables.routeByProtocol(protocol),
    };
    const { manager, engine } = await startFake({ netlinker: stubborn });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const withdrawn = watched(manager.withdrawRoute(route(), 'eth0'));
    await settle();
    await manager.registerRoute(route({ nextHop: '10.0.0.9' }), 'eth1');
    engine.become('10.9.0.2', 'up');
    refuses = false;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(withdrawn.state).toBe('resolved');
    expect(tables.routeByProtocol(186)).toEqual([route({ nextHop: '10.0.0.9' })]);
  });

  it('with other timers changes a shared session only if all its routes are named', async () => {
    const { manager, engine } = await startFake();
    const both = [route(), route({ priority: 1 })].map((it) => ({ route: it, iface: 'eth0' }));
    await manager.registerRoutes(both);
    const some = manager.registerRoutes([{ route: route(), iface: 'eth0', detectMult: 9 }]);
    await expect(some).rejects.toMatchObject({ issues: [{ index: 0, code: 'ERR_CONFIG' }] });
    expect([...engine.sessions.values()]).toMatchObject([{ detectMult: 3 }]);
    await manager.registerRoutes(both.map((one) => ({ ...one, detectMult: 9 })));
    expect([...engine.sessions.values()]).toMatchObject([{ detectMult: 9 }]);
  });
});

describe('a backend that reports losses', () => {
  it('has lost routes put back at once, and with growing delays and one warning if they are taken again and again', async () => {
    const tables = new MemoryRoutes();
    let watcher: RouteWatcher | undefined;
    const telling: RouteReaderWriter = {
      routeAdd: (it, iface) => tables.routeAdd(it, iface),
      routeDelete: (it, iface) => tables.routeDelete(it, iface),
      routeByProtocol: (protocol) => tables.routeByProtocol(protocol),
      watchRoutes: (it) => {
        watcher = it;
        return () => (watcher = undefined);
      },
    };
    const warned: string[] = [];
    const ignore = (): void => undefined;
    const warn = (_: object, message: string): void => void warned.push(message);
    const logger = { child: () => logger, trace: ignore, debug: ignore, info: ignore, warn, error: ignore };
    const { manager, engine } = await startFake({ netlinker: telling, logger });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    const lose = async (how: 'taken' | 'dropped'): Promise<void> => {
      tables.routeDelete(route());
      watcher?.lost([route()], how);
      await settle();
    };
    const delays: number[] = [];
    for (let loss = 0; loss < 5; loss += 1) {
      await lose('taken');
      const [snapshot] = manager.getSessions()[0]?.routes ?? [];
      const until = snapshot?.restoreAt?.getTime();
      delays.push(until === undefined ? 0 : Math.round((until - Date.now()) / 1_000));
      expect(snapshot?.installed).toBe(until === undefined);
      await vi.advanceTimersByTimeAsync(delays.at(-1) === undefined ? 0 : (delays.at(-1) ?? 0) * 1_000);
      expect(tables.routeByProtocol(186)).toHaveLength(1);
    }
    expect(delays).toEqual([0, 1, 2, 4, 8]);
    expect(warned.filter((message) => message.includes('again and again'))).toHaveLength(1);
    await lose('dropped');
    expect(tables.routeByProtocol(186), 'what went with a link is nobody’s doing').toHaveLength(1);
    const { endpoints } = manager.stats().routes;
    expect(endpoints).toMatchObject([{ restored: 6, restoresDelayed: 4, installed: 1 }]);
    await manager.close();
    expect(watcher, 'nobody is told after the end').toBeUndefined();
  });

  it('and reports one that is older than the last addition leaves no route behind when its session goes Down', async () => {
    const tables = new MemoryRoutes();
    let watcher: RouteWatcher | undefined;
    const telling: RouteReaderWriter = {
      routeAdd: (it, iface) => tables.routeAdd(it, iface),
      routeDelete: (it, iface) => tables.routeDelete(it, iface),
      routeByProtocol: (protocol) => tables.routeByProtocol(protocol),
      watchRoutes: (it) => {
        watcher = it;
        return () => undefined;
      },
    };
    const { manager, engine } = await startFake({ netlinker: telling });
    await manager.registerRoute(route(), 'eth0');
    engine.become('10.9.0.2', 'up');
    await settle();
    watcher?.lost([route()], 'taken');
    await settle();
    watcher?.lost([route()], 'taken');
    await settle();
    expect(manager.getSessions()).toMatchObject([{ routes: [{ installed: false }] }]);
    expect(tables.routeByProtocol(186), 'it waits to be put back, and is there all the same').toHaveLength(1);
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(tables.routeByProtocol(186)).toEqual([]);
  });
});

describe('an armed route', () => {
  const registered = (): RegisteredRoute => ({
    id: 1,
    iface: 'eth0',
    route: route(),
    noUninstall: false,
    adminDown: false,
    session: {
      id: 1,
      up: true,
      peerPassive: false,
      isPeerAdminDown: false,
      keepsOnPeerAdminDown: false,
      holdUpMs: 0,
      damping: undefined,
      downs: 0,
      lastTransition: undefined,
    },
    table: 254,
    destination: 0,
    prefixLength: 32,
    source: 0,
    nextHop: 0,
    protocol: 186,
    priority: 0,
  });
  const outcome = (generation: number, changes: Partial<RouteOutcome> = {}): RouteOutcome => ({
    id: 1,
    generation,
    op: 'none',
    leg: 'primary',
    ok: true,
    installed: false,
    gone: false,
    code: undefined,
    message: undefined,
    durationUs: 0,
    atUs: 0,
    restoreAtUs: undefined,
    suppressedUntilUs: undefined,
    ...changes,
  });
  const start = (): { installer: ArmedInstaller; disarmed: number[] } => {
    const disarmed: number[] = [];
    const arming: RouteArming = {
      arm: () => undefined,
      disarm: (routes) => disarmed.push(...routes.map(({ generation }) => generation)),
      retry: () => undefined,
      setMaintenance: () => undefined,
    };
    return { installer: new ArmedInstaller(arming, () => undefined), disarmed };
  };

  it('whose second withdrawal crosses the answer to the first one settles', async () => {
    const { installer, disarmed } = start();
    installer.add([registered()]);
    const both = [installer.remove(registered()), installer.remove(registered())].map(watched);
    expect(disarmed).toEqual([2]);
    installer.outcomes([outcome(2, { gone: true })]);
    await settle();
    expect(both.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
  });

  it('that is adopted and armed again settles the adoption with the answer to it', async () => {
    const { installer } = start();
    installer.add([registered()]);
    const adopted = watched(installer.adopt(registered()));
    installer.changed(registered());
    installer.outcomes([outcome(1)]);
    await settle();
    expect(adopted.state, 'an answer to what was ordered before').toBe('pending');
    installer.outcomes([outcome(2, { installed: true })]);
    await settle();
    expect(adopted.state).toBe('resolved');
  });

  it('that is registered again is not shown as installed because of its previous registration', () => {
    const { installer } = start();
    installer.add([registered()]);
    void installer.remove(registered());
    installer.add([registered()]);
    installer.outcomes([outcome(2, { gone: true, installed: true })]);
    expect(installer.status(registered()).installed).toBe(false);
  });
});
