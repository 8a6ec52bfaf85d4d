/** The routes of sessions that flap are installed only later: `holdUp`, and `damping`. */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ArmedRoute, Damping, RouteArming, RouteOutcome, SessionRecord } from '../../ts/engine/engine.js';
import { type DampingOptions, type ManagerConfig, MemoryRoutes, NetlinkRoutes, type RegisterOptions, type Route } from '../../ts/index.js';
import { SimulatedNetwork } from '../../ts/sim.js';
import { startManager } from '../../ts/manager/manager.js';
import type { State } from '../../ts/protocol/state.js';
import { Damper } from '../../ts/routes/damper.js';
import { CONFIG, FakeEngine, settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const SECOND = 1_000;
const PEER = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' };
const route = (changes: Partial<Route> = {}): Route => {
  return { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186, ...changes };
};
const DEFAULTS: Damping = { penalty: 1_000, suppressAbove: 2_000, reuseBelow: 1_000, halfLifeMs: 5_000, maxSuppressMs: 20_000 };

async function start(config: Partial<ManagerConfig>, options: RegisterOptions = {}) {
  const started = await startFake(config);
  const { manager, engine, routes } = started;
  await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP, ...options });
  const become = async (to: State, changes: Partial<SessionRecord> = {}): Promise<void> => {
    engine.become(PEER.peerIP, to, changes);
    await settle();
  };
  return {
    ...started,
    become,
    /** The session goes Down so many times, and is Up at the end. */
    flap: async (times: number): Promise<void> => {
      for (let time = 0; time < times; time += 1) {
        await become('down');
        await become('up');
      }
    },
    isInstalled: (): boolean => routes.routeByProtocol(186).length > 0,
    /** In milliseconds from now. */
    wait: (): number | undefined => {
      const until = manager.getSession(PEER)?.routes[0]?.suppressedUntil;
      return until && until.getTime() - Date.now();
    },
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a session with `holdUp`', () => {
  it('has its route at once at its first Up, and at later ones once it has stayed Up for so long', async () => {
    const { become, isInstalled, wait } = await start({ holdUp: 10 * SECOND });
    await become('up');
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
    await become('down');
    expect(isInstalled()).toBe(false);
    await become('up');
    expect(isInstalled()).toBe(false);
    expect(wait()).toBeCloseTo(10 * SECOND, -2);
    await vi.advanceTimersByTimeAsync(9.9 * SECOND);
    expect(isInstalled()).toBe(false);
    await vi.advanceTimersByTimeAsync(0.2 * SECOND);
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
  });

  it('that goes Down meanwhile waits anew after its next Up', async () => {
    const { become, isInstalled, wait } = await start({ holdUp: 10 * SECOND });
    await become('up');
    await become('down');
    await become('up');
    await vi.advanceTimersByTimeAsync(8 * SECOND);
    await become('down');
    expect(wait()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(60 * SECOND);
    expect(isInstalled()).toBe(false);
    await become('up');
    await vi.advanceTimersByTimeAsync(8 * SECOND);
    expect(isInstalled()).toBe(false);
    await vi.advanceTimersByTimeAsync(3 * SECOND);
    expect(isInstalled()).toBe(true);
  });

  it('that was never Up, by several transitions in one delivery, has its route at once', async () => {
    const { become, isInstalled } = await start({ holdUp: 10 * SECOND });
    await become('up', { count: 2 });
    expect(isInstalled()).toBe(true);
  });

  it('delays the route of an option of its registration, and no other', async () => {
    const { manager, engine, routes } = await start({}, { holdUp: 10 * SECOND });
    await manager.registerRoute(route({ dst: '10.9.0.3/32', nextHop: '10.0.0.3' }), 'eth0', { peerIP: '10.0.0.3' });
    for (const to of ['up', 'down', 'up'] as const) {
      engine.becomeAll(to);
      await settle();
    }
    expect(routes.routeByProtocol(186).map(({ dst }) => dst)).toEqual(['10.9.0.3/32']);
  });

  it('has no effect in passive mode', async () => {
    const { become, isInstalled, wait } = await start({ holdUp: 10 * SECOND, damping: true, passiveMode: true });
    for (const to of ['up', 'down', 'up'] as const) await become(to);
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
  });

  it('delays a route that is registered while the session is Down, since that was Up before', async () => {
    const { manager, become, routes } = await start({ holdUp: 10 * SECOND });
    await become('up');
    await become('down');
    await manager.registerRoute(route({ dst: '10.9.0.3/32' }), 'eth0', { peerIP: PEER.peerIP });
    await become('up');
    expect(routes.routeByProtocol(186)).toEqual([]);
    await vi.advanceTimersByTimeAsync(11 * SECOND);
    expect(routes.routeByProtocol(186)).toHaveLength(2);
  });
});

describe('a session with `damping`', () => {
  it('has its route at once until its figure passes `suppressAbove`, and then when that has decayed below `reuseBelow`', async () => {
    const { become, flap, isInstalled, wait } = await start({ damping: true });
    await become('up');
    await flap(2);
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
    await flap(1);
    expect(isInstalled()).toBe(false);
    // From 3 000 to 1 000.
    expect(wait()).toBeCloseTo(5 * SECOND * Math.log2(3), -2);
    await vi.advanceTimersByTimeAsync(7.8 * SECOND);
    expect(isInstalled()).toBe(false);
    await vi.advanceTimersByTimeAsync(0.3 * SECOND);
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
  });

  it('that flaps slowly is never suppressed', async () => {
    const { become, flap, isInstalled } = await start({ damping: true });
    await become('up');
    for (let time = 0; time < 20; time += 1) {
      await flap(1);
      expect(isInstalled()).toBe(true);
      await vi.advanceTimersByTimeAsync(6 * SECOND);
    }
  });

  it('that goes Down meanwhile keeps its figure, and is suppressed for `maxSuppress` after the last Down at most', async () => {
    const { become, flap, isInstalled, wait } = await start({ damping: true });
    await become('up');
    await flap(3);
    await become('down');
    await vi.advanceTimersByTimeAsync(5 * SECOND);
    await become('up');
    // 4 000, and half of it after the half-life.
    expect(wait()).toBeCloseTo(5 * SECOND, -2);
    await flap(200);
    expect(wait()).toBeCloseTo(20 * SECOND, -2);
    await vi.advanceTimersByTimeAsync(20.1 * SECOND);
    expect(isInstalled()).toBe(true);
  });

  it('that stays Down for long is not suppressed when it comes Up', async () => {
    const { become, flap, isInstalled } = await start({ damping: true });
    await become('up');
    await flap(200);
    await become('down');
    await vi.advanceTimersByTimeAsync(20.1 * SECOND);
    await become('up');
    expect(isInstalled()).toBe(true);
  });

  it('counts what happened between two deliveries', async () => {
    const { become, isInstalled, wait } = await start({ damping: true });
    await become('up');
    await become('down', { count: 5 });
    expect(isInstalled()).toBe(false);
    await become('up', { count: 3 });
    expect(wait()).toBeCloseTo(5 * SECOND * Math.log2(3), -2);
  });

  it('has the options of its registration, which `false` turns off', async () => {
    const once: DampingOptions = { penalty: 5_000, halfLife: 1_000, maxSuppress: 3_000 };
    const own = await start({}, { damping: once });
    await own.become('up');
    await own.flap(1);
    expect(own.wait()).toBeCloseTo(Math.log2(5) * SECOND, -2);
    const none = await start({ damping: once }, { damping: false });
    await none.become('up');
    await none.flap(5);
    expect(none.isInstalled()).toBe(true);
  });

  it('waits for the longer of `damping` and `holdUp`', async () => {
    const { become, flap, wait } = await start({ damping: true, holdUp: 7 * SECOND });
    await become('up');
    await flap(1);
    expect(wait()).toBeCloseTo(7 * SECOND, -2);
    await flap(2);
    expect(wait()).toBeCloseTo(5 * SECOND * Math.log2(3), -2);
  });
});

describe('a suppressed route', () => {
  const SLOW = { holdUp: 10 * SECOND };

  it('that is installed already stays', async () => {
    const { manager, become, isInstalled, wait } = await start(SLOW);
    await become('up');
    await manager.hold({ duration: 60 * SECOND });
    await become('down');
    await become('up');
    expect([isInstalled(), wait()]).toEqual([true, undefined]);
    await manager.release();
    await vi.advanceTimersByTimeAsync(SECOND);
    expect(isInstalled()).toBe(true);
  });

  it('keeps the one that it has replaced no longer than its session may take to come Up', async () => {
    const { manager, engine, become, routes } = await start(SLOW);
    const other = { ...PEER, peerIP: '10.0.0.3' };
    await manager.registerSession(other);
    for (const to of ['up', 'down'] as const) engine.become(other.peerIP, to);
    await become('up');
    await manager.registerRoute(route({ nextHop: other.peerIP }), 'eth0', { peerIP: other.peerIP });
    engine.become(other.peerIP, 'up');
    const hops = (): string[] => routes.routeByProtocol(186).map(({ nextHop }) => nextHop);
    await vi.advanceTimersByTimeAsync(3 * SECOND);
    expect(hops()).toEqual([PEER.peerIP]);
    await vi.advanceTimersByTimeAsync(SECOND);
    expect(hops()).toEqual([]);
    await vi.advanceTimersByTimeAsync(7 * SECOND);
    expect(hops()).toEqual([other.peerIP]);
  });

  it('that is adopted stays', async () => {
    const { manager, become, routes } = await start(SLOW);
    await become('up');
    await become('down');
    routes.routeAdd(route());
    await expect(manager.adoptRoutes({ protocol: 186, table: 254 })).resolves.toHaveLength(1);
    await become('up');
    await vi.advanceTimersByTimeAsync(5 * SECOND);
    expect(routes.routeByProtocol(186)).toHaveLength(1);
  });

  it('that is withdrawn is never installed', async () => {
    const { manager, become, isInstalled } = await start(SLOW);
    for (const to of ['up', 'down', 'up'] as const) await become(to);
    await manager.withdrawRoute(route(), 'eth0');
    await vi.advanceTimersByTimeAsync(20 * SECOND);
    expect(isInstalled()).toBe(false);
  });

  it('that is taken out of service and put back waits no longer', async () => {
    const { manager, become, isInstalled, wait } = await start(SLOW);
    await manager.registerSession(PEER);
    for (const to of ['up', 'down', 'up'] as const) await become(to);
    await manager.adminDownRoute(route(), 'eth0');
    expect(wait()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(20 * SECOND);
    expect(isInstalled()).toBe(false);
    await manager.adminUpRoute(route(), 'eth0');
    await settle();
    expect(isInstalled()).toBe(true);
  });

  it('is logged once with the time of its release, counted as a metric, and no event', async () => {
    const registry = new Registry();
    const { lines, logger } = newLog();
    const { manager, become } = await start({ ...SLOW, logger, metricsRegistry: registry });
    const operations: string[] = [];
    manager.on('route', ({ op }) => operations.push(op));
    const counted = async (): Promise<string | undefined> => {
      return /^liveness_routes_suppressed\{iface="eth0",local_ip="10\.0\.0\.1"\} (\d+)$/m.exec(await registry.metrics())?.[1];
    };
    await become('up');
    await expect(counted()).resolves.toBe('0');
    await become('down');
    await become('up');
    await expect(counted()).resolves.toBe('1');
    const until = manager.getSession(PEER)?.routes[0]?.suppressedUntil;
    const told = lines.filter(({ message }) => message.includes('suppressed until'));
    expect(told).toMatchObject([{ level: 'info', fields: { dst: '10.9.0.2/32', iface: 'eth0', until } }]);
    await vi.advanceTimersByTimeAsync(11 * SECOND);
    await expect(counted()).resolves.toBe('0');
    expect(operations).toEqual(['add', 'delete', 'add']);
  });

  it('costs the measured convergence nothing', async () => {
    const { manager, become } = await start(SLOW);
    const measured = (): number[] | undefined => {
      return manager.stats().routes.endpoints.flatMap(({ convergenceToUp }) => [...convergenceToUp.counts]);
    };
    await become('up', { convStartUs: 1 });
    const first = measured();
    await become('down', { convStartUs: 2 });
    await become('up', { convStartUs: 3 });
    await vi.advanceTimersByTimeAsync(11 * SECOND);
    expect(measured()).toEqual(first);
  });
});

describe('on the JavaScript engine, with simulated time', () => {
  beforeEach(() => void vi.useRealTimers());

  it.each(['liveness', 'bfd'] as const)('a path that comes and goes has its route once it is stable: %s', async (protocol) => {
    const network = new SimulatedNetwork();
    const routes = new MemoryRoutes();
    const timers = { txMin: 50, rxMin: 50, detectMult: 3 };
    const quick = { holdUp: 4 * SECOND, damping: { halfLife: 30 * SECOND, maxSuppress: 90 * SECOND } };
    const here = await network.startManager({ netlinker: routes, protocol, bindIP: PEER.localIP, ...timers, ...quick });
    const there = await network.startManager({ netlinker: new MemoryRoutes(), protocol, bindIP: PEER.peerIP, ...timers });
    await here.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP });
    await there.registerSession({ iface: 'eth0', localIP: PEER.peerIP, peerIP: PEER.localIP });
    const seen = (): [string | undefined, boolean] => [here.getSession(PEER)?.state, routes.routeByProtocol(186).length > 0];
    await network.run(3 * SECOND);
    expect(seen()).toEqual(['up', true]);
    const flap = async (): Promise<void> => {
      network.cut(PEER.localIP, PEER.peerIP);
      network.cut(PEER.peerIP, PEER.localIP);
      await network.run(SECOND);
      expect(seen()).toEqual(['down', false]);
      network.heal(PEER.localIP, PEER.peerIP);
      network.heal(PEER.peerIP, PEER.localIP);
      await network.run(3 * SECOND);
      expect(seen()).toEqual(['up', false]);
    };
    await flap();
    await network.run(5 * SECOND);
    expect(seen(), 'after `holdUp`').toEqual(['up', true]);
    await flap();
    await flap();
    await network.run(10 * SECOND);
    expect(seen(), 'suppressed by damping').toEqual(['up', false]);
    await network.run(60 * SECOND);
    expect(seen()).toEqual(['up', true]);
    for (const manager of [here, there]) await manager.close();
  });
});

describe('other options of a session', () => {
  it.each<[string, RegisterOptions]>([
    ['holdUp', { holdUp: 5 }],
    ['damping', { damping: true }],
    ['damping', { damping: { penalty: 1_001 } }],
  ])('are refused where it is shared: %s %j', async (name, options) => {
    const { manager } = await start({ damping: { penalty: 2_000 } });
    const other = manager.registerRoute(route({ dst: '10.9.0.3/32' }), 'eth0', { peerIP: PEER.peerIP, ...options });
    await expect(other).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining(`has another ${name}`) as unknown });
  });

  it('with the same meaning are accepted', async () => {
    const { manager } = await start({ damping: true });
    const options = { peerIP: PEER.peerIP, holdUp: 0, damping: { halfLife: 5_000 } };
    await expect(manager.registerRoute(route({ dst: '10.9.0.3/32' }), 'eth0', options)).resolves.toBeUndefined();
  });

  it('are taken in place, and count from its next Up on', async () => {
    const { manager, become, isInstalled, wait } = await start({});
    await become('up');
    await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP, holdUp: 10 * SECOND });
    await settle();
    expect(isInstalled()).toBe(true);
    await become('down');
    await become('up');
    expect(wait()).toBeCloseTo(10 * SECOND, -2);
    await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP, holdUp: 20 * SECOND });
    expect(wait()).toBeCloseTo(10 * SECOND, -2);
    await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP });
    await settle();
    expect([isInstalled(), wait()], 'without both options nothing waits').toEqual([true, undefined]);
  });
});

describe('bad values', () => {
  const damping = (options: unknown): Record<string, unknown> => ({ damping: options });

  it.each<[string, Record<string, unknown>]>([
    ['holdUp', { holdUp: -1 }],
    ['holdUp', { holdUp: 600_001 }],
    ['holdUp', { holdUp: '1' }],
    ['holdUp', { holdUp: Number.NaN }],
    ['damping', damping('yes')],
    ['damping', damping(null)],
    ['damping', damping([])],
    ['damping', damping(1)],
    ['damping.decay', damping({ decay: 1 })],
    ...['penalty', 'suppressAbove', 'reuseBelow'].flatMap((name) =>
      [0, -1, 1.5, 1_000_001, '1', Number.NaN].map(
        (value) => [`damping.${name}`, damping({ [name]: value })] as [string, Record<string, unknown>],
      ),
    ),
    ...['halfLife', 'maxSuppress'].flatMap((name) =>
      [0, 0.5, 3_600_001, '1', Number.NaN].map(
        (value) => [`damping.${name}`, damping({ [name]: value })] as [string, Record<string, unknown>],
      ),
    ),
    ['damping.suppressAbove', damping({ suppressAbove: 1_000 })],
    ['damping.suppressAbove', damping({ suppressAbove: 500, reuseBelow: 501 })],
    ['damping.maxSuppress', damping({ maxSuppress: 5_000 })],
    ['damping.maxSuppress', damping({ halfLife: 20_000 })],
    ['damping.maxSuppress', damping({ suppressAbove: 16_000 })],
  ])('are refused, in the configuration and in a registration: %s of %j', async (path, options) => {
    const refused = { code: 'ERR_CONFIG', issues: [{ path, message: expect.stringContaining(`\`${path}\``) as unknown }] };
    await expect(startFake(options)).rejects.toMatchObject(refused);
    const { manager } = await startFake();
    const registered = manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP, ...options });
    await expect(registered).rejects.toMatchObject(refused);
    await expect(manager.registerSession(PEER, options)).rejects.toMatchObject(refused);
    expect(manager.getSessions()).toEqual([]);
  });

  it.each<[string, Partial<ManagerConfig>]>([
    ['the least', { holdUp: 0, damping: { penalty: 1, suppressAbove: 2, reuseBelow: 1, halfLife: 1, maxSuppress: 2 } }],
    [
      'the greatest',
      {
        holdUp: 600_000,
        damping: { penalty: 1_000_000, suppressAbove: 1_000_000, reuseBelow: 999_999, halfLife: 3_600_000, maxSuppress: 3_600_000 },
      },
    ],
    ['a penalty above the cap', { damping: { penalty: 1_000_000 } }],
    ['a cap beyond all numbers', { damping: { halfLife: 1, maxSuppress: 3_600_000 } }],
  ])('are not %s', async (_, config) => {
    await expect(startFake(config)).resolves.toBeDefined();
  });
});

describe('the figure of merit', () => {
  it('that equals `suppressAbove` suppresses nothing; one above does', () => {
    const damper = new Damper();
    damper.down(0, DEFAULTS, 2);
    expect(damper.up(0, DEFAULTS)).toBeUndefined();
    damper.down(0, { ...DEFAULTS, penalty: 1 });
    expect(damper.up(0, DEFAULTS)).toBeCloseTo(5_000 * Math.log2(2.001));
  });

  it('suppresses until it is below `reuseBelow`, not only while it is above `suppressAbove`', () => {
    const damper = new Damper();
    damper.down(0, DEFAULTS, 4);
    expect(damper.up(9_999, DEFAULTS)).toBeCloseTo(10_000);
    expect(damper.up(10_001, DEFAULTS)).toBeUndefined();
    damper.down(10_001, DEFAULTS);
    expect(damper.up(10_001, DEFAULTS)).toBeUndefined();
  });

  it('never exceeds what decays within `maxSuppress`, however large the penalty or whenever it begins', () => {
    for (const [penalty, at] of [
      [1_000_000, 0],
      [1_000, 1e9],
    ] as const) {
      const damper = new Damper();
      damper.down(at, { ...DEFAULTS, penalty }, 65_535);
      expect((damper.up(at, DEFAULTS) ?? 0) - at).toBeCloseTo(20_000);
    }
  });

  it('is a number where the cap is beyond all numbers', () => {
    const extreme = { ...DEFAULTS, halfLifeMs: 1, maxSuppressMs: 3_600_000 };
    const damper = new Damper();
    damper.down(1e12, extreme, 3);
    expect(damper.up(1e12, extreme)).toBeCloseTo(1e12 + Math.log2(3), 2);
    expect(damper.up(2e12, extreme)).toBeUndefined();
  });
});

/** An engine that is told of armed routes, and answers as a test says. */
class Arming extends FakeEngine {
  readonly armed: ArmedRoute[] = [];
  override readonly arming: RouteArming = {
    arm: (routes) => {
      for (const { id, generation, holdUpMs, damping } of routes) this.armed.push({ id, generation, holdUpMs, damping } as ArmedRoute);
    },
    disarm: () => undefined,
    retry: () => undefined,
    setMaintenance: () => undefined,
  };

  answer(changes: Partial<RouteOutcome>): void {
    const { id = 0, generation = 0 } = this.armed.at(-1) ?? {};
    const nothing = {
      code: undefined,
      message: undefined,
      durationUs: 0,
      atUs: 0,
      restoreAtUs: undefined,
      suppressedUntilUs: undefined,
      leg: 'primary',
    } as const;
    this.listener.routes([{ id, generation, op: 'none', ok: true, gone: false, installed: false, ...nothing, ...changes }]);
  }
}

describe('an armed route', () => {
  const arm = async (config: Partial<ManagerConfig>, options: RegisterOptions = {}) => {
    let engine: Arming | undefined;
    vi.spyOn(NetlinkRoutes.prototype, 'checkAccess').mockReturnValue(undefined);
    const manager = await startManager({ ...CONFIG, netlinker: new NetlinkRoutes(), ...config }, undefined, (_, given, listener) => {
      engine = new Arming(given, listener);
      return Promise.resolve(engine);
    });
    if (engine === undefined) throw new Error('no engine was started');
    await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP, ...options });
    return { manager, engine };
  };

  it('tells the engine how long it waits, in whole milliseconds, and how its session is damped', async () => {
    const { engine, manager } = await arm({ holdUp: 0.2 }, { damping: { halfLife: 1_000.4 } });
    expect(engine.armed).toMatchObject([{ holdUpMs: 1, damping: { ...DEFAULTS, halfLifeMs: 1_000 } }]);
    await manager.registerRoute(route(), 'eth0', { peerIP: PEER.peerIP });
    expect(engine.armed[1]).toMatchObject({ holdUpMs: 1, damping: undefined });
  });

  it('shows what the engine says of its suppression: in its snapshot, in the log once, as a metric, and not as an event', async () => {
    const registry = new Registry();
    const { lines, logger } = newLog();
    const { manager, engine } = await arm({ logger, metricsRegistry: registry });
    let events = 0;
    manager.on('route', () => (events += 1));
    const [seconds, nanoseconds] = process.hrtime();
    const suppressedUntilUs = seconds * 1e6 + nanoseconds / 1_000 + 5 * 1e6;
    const counted = async (): Promise<string | undefined> =>
      /^liveness_routes_suppressed\{.*\} (\d+)$/m.exec(await registry.metrics())?.[1];
    const told = (): number => lines.filter(({ message }) => message.includes('suppressed until')).length;
    const until = (): Date | undefined => manager.getSession(PEER)?.routes[0]?.suppressedUntil;
    engine.answer({ suppressedUntilUs });
    engine.answer({ suppressedUntilUs });
    expect(Number(until()) - Date.now()).toBeCloseTo(5 * SECOND, -2);
    expect([told(), await counted()]).toEqual([1, '1']);
    engine.answer({});
    expect([until(), await counted()]).toEqual([undefined, '0']);
    engine.answer({ suppressedUntilUs: suppressedUntilUs + 1 });
    expect(told()).toBe(2);
    engine.answer({ suppressedUntilUs, gone: true });
    expect([await counted(), events]).toEqual(['0', 0]);
  });
});
