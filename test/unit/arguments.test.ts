/** Whatever a public method is given, it works or refuses with a code: no TypeError, and a promise rejects rather than throws. */
import { createSocket } from 'node:dgram';

import fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';

import * as blocks from '../../ts/protocol.js';
import * as api from '../../ts/index.js';
import type { Manager, Route } from '../../ts/index.js';
import { Simulation } from '../../ts/sim.js';
import { startFake } from './fake-engine.js';
import { FakeUDP } from './fake-udp.js';
import { newSession, packet } from './session-helpers.js';

const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };

type Call = (...given: never[]) => unknown;

/** How a call ends. */
async function endOf(call: () => unknown): Promise<{ error?: unknown; threw: boolean; isPromise: boolean }> {
  let outcome: unknown;
  try {
    outcome = call();
  } catch (error) {
    return { error, threw: true, isPromise: false };
  }
  if (!(outcome instanceof Promise)) return { threw: false, isPromise: false };
  try {
    await outcome;
    return { threw: false, isPromise: true };
  } catch (error) {
    return { error, threw: false, isPromise: true };
  }
}

function expectCoded(error: unknown): void {
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(TypeError);
  expect((error as { code?: unknown }).code).toEqual(expect.stringMatching(/^E[A-Z_0-9]+$/));
}

const nonsense = fc.oneof(
  fc.anything(),
  fc.constantFrom(Number.NaN, -1, 0, 5_000, 1e12, '', 'x', null, undefined, true, [], {}, Symbol('x'), 1n, () => 1, Object.create(null)),
);
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '127.0.0.258', '0.0.0.0', '10.9.0.2/32', '10.0.0.0/08');
/** A route with any of its fields spoilt or left out. */
const route = fc.oneof(
  fc.constant(ROUTE),
  fc
    .tuple(fc.constantFrom(...Object.keys(ROUTE), 'priority', 'noUninstall'), nonsense)
    .map(([name, value]): object => ({ ...ROUTE, [name]: value as unknown })),
);
const iface = fc.constantFrom('eth0', 'eth9');
const options = fc.dictionary(
  fc.constantFrom('port', 'peerIP', 'txMin', 'detectMult', 'dryRun', 'protocol', 'table', 'signal', 'adminDown', 'prefix', 'takeOver', 'x'),
  fc.oneof(nonsense, fc.constantFrom(100, 186, 254, false)),
);
const ref = fc.record({ route: fc.oneof(route, nonsense), iface: fc.oneof(iface, nonsense) }, { requiredKeys: [] });
const peer = fc.record({ iface, localIP: address, peerIP: fc.oneof(address, nonsense) }, { requiredKeys: [] });
const argument = fc.oneof(nonsense, route, iface, address, options, ref, fc.array(fc.oneof(ref, nonsense), { maxLength: 3 }), peer);
const given = fc.array(argument, { maxLength: 4 });
/** The arguments of a registration, mostly good. */
const sensible = fc.tuple(route, iface, fc.oneof(options, nonsense));

async function everyCallOf(calls: Record<string, Call>, numRuns: number): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    let promises = 0;
    let throws = 0;
    await fc
      .assert(
        fc.asyncProperty(fc.oneof(given, sensible as fc.Arbitrary<unknown[]>), async (values) => {
          const { error, threw, isPromise } = await endOf(() => call(...(values as never[])));
          if (threw) throws += 1;
          if (isPromise) promises += 1;
          if (error !== undefined) expectCoded(error);
        }),
        { numRuns },
      )
      .catch((error: unknown) => {
        throw new Error(`${name}: ${String(error)}`, { cause: error });
      });
    expect(promises === 0 || throws === 0, `${name} rejects or throws, not both`).toBe(true);
  }
}

function methodsOf(manager: Manager): Record<string, Call> {
  return {
    registerRoute: manager.registerRoute.bind(manager),
    registerRoutes: manager.registerRoutes.bind(manager),
    withdrawRoute: manager.withdrawRoute.bind(manager),
    withdrawRoutes: manager.withdrawRoutes.bind(manager),
    adminDownRoute: manager.adminDownRoute.bind(manager),
    adminUpRoute: manager.adminUpRoute.bind(manager),
    adoptRoutes: manager.adoptRoutes.bind(manager),
    sweepRoutes: manager.sweepRoutes.bind(manager),
    getSession: manager.getSession.bind(manager),
    transitions: (...values) => void manager.transitions(...values).return?.(),
  };
}

describe('any argument', () => {
  it('of a method of the manager is accepted, or refused with a code', async () => {
    const { manager } = await startFake();
    await everyCallOf(methodsOf(manager), 300);
    await manager.close();
  });

  it('of `close` and `Manager.start` is accepted, or refused with a code', async () => {
    await everyCallOf(
      {
        close: async (...values: never[]) => {
          const { manager } = await startFake();
          return manager.close(...(values as []));
        },
        start: async (...values: never[]) => {
          const manager = await api.Manager.start(...(values as unknown as [api.ManagerConfig]));
          await manager.close();
        },
        startWith: async (...values: never[]) => {
          const config = {
            netlinker: new api.MemoryRoutes(),
            bindIP: '127.0.0.1',
            port: 0,
            txMin: 100,
            rxMin: 100,
            detectMult: 3,
            udp: new FakeUDP(),
          };
          const manager = await api.Manager.start({ ...config, engine: 'js' }, ...(values as unknown as []));
          await manager.close();
        },
      },
      100,
    );
  });

  it('of the exported functions and backends is accepted, or refused with a code', async () => {
    const { manager } = await startFake();
    const memory = new api.MemoryRoutes();
    await everyCallOf(
      {
        MemoryRoutes: (...values) => new api.MemoryRoutes(...values),
        NetlinkRoutes: (...values) => new api.NetlinkRoutes(...values),
        'memory.routeAdd': memory.routeAdd.bind(memory),
        'memory.routeDelete': memory.routeDelete.bind(memory),
        'memory.routeByProtocol': memory.routeByProtocol.bind(memory),
        newRouteReaderWriter: (...values: never[]) =>
          api.newRouteReaderWriter(...(values as unknown as Parameters<typeof api.newRouteReaderWriter>)),
        'scoped options': (...values: never[]) => api.newRouteReaderWriter(manager, memory, ...(values as unknown as [string])),
        'scoped.routeAdd': (...values: never[]) =>
          api.newRouteReaderWriter(manager, memory, 'eth0').routeAdd(...(values as unknown as [Route])),
        'scoped.routeDelete': (...values: never[]) =>
          api.newRouteReaderWriter(manager, memory, 'eth0').routeDelete(...(values as unknown as [Route])),
        'scoped.routeByProtocol': (...values: never[]) =>
          api.newRouteReaderWriter(manager, memory, 'eth0').routeByProtocol(...(values as unknown as [number])),
        Metrics: (...values: never[]) => new api.Metrics(...(values.slice(0, 1) as [])),
        register: (...values: never[]) => new api.Metrics().register(...(values as unknown as [Registry])),
        validateConfig: api.validateConfig,
        formatRoute: api.formatRoute,
        formatPeer: api.formatPeer,
        formatRouteKey: api.formatRouteKey,
        routeKey: api.routeKey,
        stateToWire: api.stateToWire,
        stateFromWire: api.stateFromWire,
      },
      150,
    );
    await manager.close();
  });

  it('of the building blocks is accepted, or refused with a code', async () => {
    const session = newSession(blocks.REFERENCE);
    const queue = new blocks.EventQueue();
    const udp = new FakeUDP();
    const receiver = new blocks.Receiver({ udp, handleRx: () => undefined });
    const scheduler = new blocks.Scheduler({ udp, onSessionDown: () => undefined });
    const service = await blocks.listenUDP('127.0.0.1', 0);
    const down = packet('down', 1, 0);
    const run =
      (worker: { run(given?: never): Promise<void> }) =>
      (value: never): unknown =>
        // What is accepted would run for ever.
        (value as { signal?: unknown } | null | undefined)?.signal === undefined ? undefined : worker.run(value);
    await everyCallOf(
      {
        ControlPacket: (...values) => new blocks.ControlPacket(...(values as unknown as [blocks.ControlPacketFields])),
        unmarshal: (bytes: never) => blocks.ControlPacket.unmarshal(bytes),
        with: down.with.bind(down),
        Session: (...values) => new blocks.Session(...(values as unknown as [blocks.SessionOptions])),
        handleRx: session.handleRx.bind(session),
        armDetect: session.armDetect.bind(session),
        expireIfDue: session.expireIfDue.bind(session),
        computeNextTx: session.computeNextTx.bind(session),
        packet: session.packet.bind(session),
        push: queue.push.bind(queue),
        popIfDue: queue.popIfDue.bind(queue),
        countFor: queue.countFor.bind(queue),
        Receiver: (...values) => new blocks.Receiver(...(values as unknown as [blocks.ReceiverOptions])),
        Scheduler: (...values) => new blocks.Scheduler(...(values as unknown as [blocks.SchedulerOptions])),
        'receiver.run': run(receiver),
        'scheduler.run': run(scheduler),
        add: scheduler.add.bind(scheduler),
        remove: scheduler.remove.bind(scheduler),
        handled: scheduler.handled.bind(scheduler),
        newUDPService: blocks.newUDPService,
        writeTo: (...values: never[]) => service.writeTo(...(values as unknown as [Uint8Array, blocks.Destination])),
        'writeTo, further': (...values: never[]) =>
          service.writeTo(new Uint8Array(1), { address: '127.0.0.1', port: 9 }, ...(values as unknown as [string])),
        setReadDeadline: service.setReadDeadline.bind(service),
        parseClientVersion: blocks.parseClientVersion,
        formatClientVersion: blocks.formatClientVersion,
      },
      150,
    );
    await service.close();
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await new Promise((resolve) => socket.once('listening', resolve));
    const own = blocks.newUDPService(socket);
    await everyCallOf({ writeTo: own.writeTo.bind(own), setReadDeadline: own.setReadDeadline.bind(own) }, 150);
    await own.close();
  });

  it('of `listenUDP` is accepted, or refused with a code', async () => {
    await everyCallOf(
      { listenUDP: async (...values: never[]) => (await blocks.listenUDP(...(values as unknown as [string, number]))).close() },
      50,
    );
  });

  it('of `Simulation` is accepted, or refused with a code', async () => {
    const world = new Simulation();
    const one = world.addHost();
    world.connect(one, world.addHost(), { txMin: 100, rxMin: 100, detectMult: 3 });
    const calls = (['addHost', 'connect', 'setQuality', 'cut', 'heal', 'restart', 'stall', 'adminDown', 'adminUp', 'states'] as const).map(
      (name): [string, Call] => [name, world[name].bind(world)],
    );
    await everyCallOf({ Simulation: (...values) => new Simulation(...values), ...Object.fromEntries(calls) }, 150);
  });
});

describe('an options object', () => {
  const LEFT = { protocol: 186, table: 254 };
  const refused = { code: 'ERR_CONFIG' };

  it('with an unknown name is refused, and nothing is done', async () => {
    const { manager, engine, routes } = await startFake();
    routes.routeAdd(ROUTE);
    await expect(manager.sweepRoutes({ ...LEFT, dryrun: true } as never)).rejects.toMatchObject({
      ...refused,
      issues: [{ path: 'dryrun' }],
    });
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
    await expect(manager.adoptRoutes({ ...LEFT, dryRun: true } as never)).rejects.toMatchObject({
      ...refused,
      issues: [{ path: 'dryRun' }],
    });
    await expect(manager.registerRoute(ROUTE, 'eth0', { prot: 1 } as never)).rejects.toMatchObject(refused);
    await expect(manager.registerRoute(ROUTE, 'eth0', { iface: 'eth1' } as never)).rejects.toMatchObject(refused);
    expect(() => manager.transitions({ Signal: AbortSignal.abort() } as never)).toThrow(expect.objectContaining(refused));
    await expect(manager.close({ withdrawRoute: true } as never)).rejects.toMatchObject({
      ...refused,
      issues: [{ path: 'withdrawRoute' }],
    });
    expect(engine.closedWith, 'it is still open').toBeUndefined();
    expect(manager.getSessions()).toEqual([]);
    for (const call of [
      () => new api.MemoryRoutes({ takeover: true } as never),
      () => new api.NetlinkRoutes({ takeover: true } as never),
      () => new api.Metrics({ prefx: 'a' } as never),
      () => api.newRouteReaderWriter(manager, routes, 'eth0', { prot: 1 } as never),
      () => new blocks.Receiver({ udp: new FakeUDP(), handleRx: () => undefined, log: 1 } as never),
      () => new blocks.Scheduler({ udp: new FakeUDP(), onSessionDown: () => undefined, maxEvent: 4 } as never),
      () => new Simulation({ losss: 1 } as never),
      () => new Simulation().addHost({ clockPPM: 1 } as never),
    ]) {
      expect(call).toThrow(expect.objectContaining(refused));
    }
  });

  it.each([
    ['a number of next-hop objects below the first', { firstId: 0 }, 'nextHopObjects.firstId'],
    ['a number of next-hop objects beyond 32 bits', { lastId: 0x1_0000_0000 }, 'nextHopObjects.lastId'],
    ['the number of next-hop objects that stands for none', { lastId: 0xffff_ffff }, 'nextHopObjects.lastId'],
    ['a number of next-hop objects that is not whole', { firstId: 1.5 }, 'nextHopObjects.firstId'],
    ['a range of next-hop objects that ends before it begins', { firstId: 20, lastId: 19 }, 'nextHopObjects.firstId'],
    ['an unknown field of the range of next-hop objects', { first: 20 }, 'nextHopObjects.first'],
    ['another value in place of the range of next-hop objects', 20, 'nextHopObjects'],
  ])('of the backend is refused: %s', (_, nextHopObjects, path) => {
    const refused = { code: 'ERR_CONFIG', issues: [expect.objectContaining({ path }) as object] };
    expect(() => new api.NetlinkRoutes({ nextHopObjects } as never)).toThrow(expect.objectContaining(refused));
  });

  it('that is a route refuses unknown fields, with the nearest name', async () => {
    const { manager } = await startFake();
    const misspelt = { ...ROUTE, nexthop: '10.0.0.2' };
    const error = { code: 'ERR_INVALID_ROUTE', message: expect.stringContaining('`route.nexthop` (did you mean `nextHop`?)') as string };
    await expect(manager.registerRoute(misspelt, 'eth0')).rejects.toMatchObject(error);
    await expect(manager.withdrawRoute(misspelt, 'eth0')).rejects.toMatchObject(error);
    expect(() => new api.MemoryRoutes().routeAdd(misspelt)).toThrow(expect.objectContaining(error));
  });

  it('with several unknown names is refused with all of them', () => {
    const config = { netlinker: new api.MemoryRoutes(), bindIP: '10.0.0.1', txMin: 100, rxMin: 100, detectMult: 3 };
    expect(() => api.validateConfig({ ...config, prot: 1, logge: 2 } as never)).toThrow(/prot[^]*logge/);
  });

  it.each([[5_000], [null], ['port'], [true], [[]], [() => 1]])('that is %j is refused', async (value) => {
    const { manager, engine } = await startFake();
    await expect(manager.registerRoute(ROUTE, 'eth0', value as never)).rejects.toMatchObject(refused);
    await expect(manager.close(value as never)).rejects.toMatchObject(refused);
    await expect(manager.sweepRoutes(value as never)).rejects.toMatchObject(refused);
    await expect(manager.adoptRoutes(value as never)).rejects.toMatchObject(refused);
    await expect(api.Manager.start({} as never, value as never)).rejects.toMatchObject(refused);
    expect(() => manager.transitions(value as never)).toThrow(expect.objectContaining(refused));
    expect(() => new api.MemoryRoutes(value as never)).toThrow(expect.objectContaining(refused));
    expect(engine.calls).toEqual([]);
    expect(engine.closedWith).toBeUndefined();
  });

  it('given as a number is refused with the way to set the port', async () => {
    const { manager } = await startFake();
    await expect(manager.registerRoute(ROUTE, 'eth0', 5_000 as never)).rejects.toThrow(/port/);
  });

  it('that is an AbortSignal itself is refused', async () => {
    const { signal } = new AbortController();
    const { manager } = await startFake();
    await expect(api.Manager.start({} as never, signal as never)).rejects.toMatchObject(refused);
    expect(() => manager.transitions(signal as never)).toThrow(expect.objectContaining(refused));
  });

  it('whose getters throw is refused', async () => {
    const throwing = Object.defineProperty({}, 'port', {
      enumerable: true,
      get: () => {
        throw new RangeError('a getter of the user’s');
      },
    });
    const { manager } = await startFake();
    await expect(manager.registerRoute(ROUTE, 'eth0', throwing)).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('a getter') as string,
    });
    await expect(api.Manager.start(throwing as never)).rejects.toMatchObject(refused);
  });

  it('whose fields are undefined means the defaults, in every function', async () => {
    const { manager, engine, routes } = await startFake({ onClose: { withdrawRoutes: true, adminDown: true } });
    await manager.registerRoute(ROUTE, 'eth0', {
      port: undefined,
      peerIP: undefined,
      txMin: undefined,
      rxMin: undefined,
      detectMult: undefined,
    });
    expect([...engine.sessions.values()]).toMatchObject([{ peerPort: 44880, txMinUs: 50_000, detectMult: 3 }]);
    engine.become('10.9.0.2', 'up');
    await manager.transitions({ signal: undefined }).return?.();
    expect(await manager.sweepRoutes({ ...LEFT, dryRun: undefined })).toEqual([]);
    expect(() => new api.MemoryRoutes({ takeOver: undefined })).not.toThrow();
    expect(new api.Metrics({ prefix: undefined }).all()[0]).toMatchObject({ name: 'liveness_sessions' });
    await manager.close({ withdrawRoutes: undefined, adminDown: undefined });
    expect(routes.routeByProtocol(186)).toEqual([]);
    expect(engine.closedWith, 'nothing is left to a successor').toEqual({ adminDown: true, forget: true });
  });
});

describe('an address', () => {
  it('that is invalid is refused by getSession', async () => {
    const { manager } = await startFake();
    await manager.registerRoute({ ...ROUTE, dst: '127.0.1.2/32' }, 'eth0');
    const peer = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '127.0.1.2' };
    expect(manager.getSession(peer)).toBeDefined();
    expect(manager.getSession({ ...peer, peerIP: '127.0.1.3' })).toBeUndefined();
    for (const wrong of [{ peerIP: '127.0.0.258' }, { peerIP: 1 }, { localIP: '10.0.0' }, { iface: '' }]) {
      const [path] = Object.keys(wrong);
      expect(() => manager.getSession({ ...peer, ...wrong } as never)).toThrow(
        expect.objectContaining({ code: 'ERR_CONFIG', issues: [expect.objectContaining({ path })] }),
      );
    }
  });

  it.each(['10.0.0.0/08', '10.0.0.0/8 ', '10.0.0.0/', '010.0.0.0/8', '10.0.0.0/+8', '10.0.0.0/8\n'])('%j is no prefix', async (dst) => {
    const { manager } = await startFake();
    await expect(manager.registerRoute({ ...ROUTE, dst }, 'eth0', { peerIP: '10.0.0.2' })).rejects.toMatchObject({
      code: 'ERR_INVALID_ROUTE',
    });
  });
});

describe('a list of routes', () => {
  it('with an invalid entry is refused with its index, and nothing is withdrawn', async () => {
    const { manager } = await startFake();
    await manager.registerRoute(ROUTE, 'eth0');
    const good = { route: ROUTE, iface: 'eth0' };
    for (const wrong of [null, 5, {}, { route: ROUTE, iface: 7 }, { route: {}, iface: 'eth0' }]) {
      await expect(manager.withdrawRoutes([good, wrong] as never)).rejects.toMatchObject({ issues: [{ index: 1 }] });
    }
    // eslint-disable-next-line no-sparse-arrays
    await expect(manager.registerRoutes([, good] as never)).rejects.toMatchObject({ issues: [{ index: 0 }] });
    await expect(manager.withdrawRoutes('x' as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ROUTE' });
    expect(manager.getSessions()).toHaveLength(1);
  });
});
