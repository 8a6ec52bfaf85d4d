import { inspect } from 'node:util';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ManagerConfig, Peer, RegisterOptions, RegisterSessionOptions, Route } from '../../ts/index.js';
import type { SessionSpec } from '../../ts/engine/engine.js';
import { CONFIG, FakeEngine, settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';
import { MemoryRoutes } from '../../ts/index.js';
import { startManager } from '../../ts/manager/manager.js';

const ROUTE: Route = { table: 254, dst: '10.9.0.2/32', src: '10.0.0.1', nextHop: '10.0.0.2', protocol: 186 };
const PEER: Peer = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.9.0.2' };
const SECRET = 'hunter2-hunter2';
const auth = (...keys: [number, string][]): NonNullable<RegisterOptions['auth']> => {
  return { type: 'meticulous-sha1', keys: keys.map(([id, key]) => ({ id, key })) };
};

const startBfd = (config: Partial<ManagerConfig> = {}) => startFake({ protocol: 'bfd', ...config });

/** What the engine was told of the only session. */
function specOf(engine: FakeEngine): SessionSpec {
  const specs = [...engine.sessions.values()];
  expect(specs).toHaveLength(1);
  return specs[0] as SessionSpec;
}

const secretsOf = ({ bfd }: SessionSpec) => bfd?.auth?.keys.map(({ id, secret }) => [id, Buffer.from(secret).toString()]);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a manager of BFD', () => {
  it('tells its engine the protocol and its ports', async () => {
    const { engine } = await startBfd({ passiveMode: true, minTtl: 254 });
    expect(engine.options).toMatchObject({ protocol: 'bfd', port: 3784, multihopPort: 4784, minTtl: 254, passive: false });
    expect((await startBfd()).engine.options.minTtl).toBeUndefined();
    expect((await startFake({ passiveMode: true })).engine.options).toMatchObject({ protocol: 'liveness', port: 44880, passive: true });
  });

  it('that only observes installs a route at registration, whatever its session does', async () => {
    const { manager, engine, routes } = await startBfd({ passiveMode: true });
    await manager.registerRoute(ROUTE, 'eth0');
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
    engine.become('10.9.0.2', 'up');
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(routes.routeByProtocol(186)).toEqual([ROUTE]);
  });

  it.each([
    [{}, {}, 3784],
    [{}, { multihop: true }, 4784],
    [{ port: 5_000, multihopPort: 6_000 }, {}, 5_000],
    [{ port: 5_000, multihopPort: 6_000 }, { multihop: true }, 6_000],
    [{ port: 0, multihopPort: 0 }, {}, 3784],
    [{ port: 0, multihopPort: 0 }, { multihop: true }, 4784],
    [{}, { multihop: true, port: 7_000 }, 7_000],
  ])('of %j expects a peer that is registered with %j on port %i', async (config, options, peerPort) => {
    const { manager, engine } = await startBfd(config);
    await manager.registerRoute(ROUTE, 'eth0', options);
    expect(specOf(engine).peerPort).toBe(peerPort);
  });
});

describe('a session of BFD', () => {
  it('is active, on one hop and without authentication by default', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0');
    expect(specOf(engine)).toMatchObject({ multihop: false, minTtl: undefined, bfd: { passive: false, auth: undefined } });
    expect(engine.calls).toEqual(['add 1']);
  });

  it('has the options of its registration, of a route and by itself alike', async () => {
    const options = { multihop: true, passive: true, minTtl: 250, auth: auth([7, SECRET]) } as const;
    for (const register of ['route', 'session'] as const) {
      const { manager, engine } = await startBfd();
      await (register === 'route' ? manager.registerRoute(ROUTE, 'eth0', options) : manager.registerSession(PEER, options));
      expect(specOf(engine)).toMatchObject({ multihop: true, minTtl: 250, bfd: { passive: true, auth: { type: 'meticulous-sha1' } } });
      expect(secretsOf(specOf(engine))).toEqual([[7, SECRET]]);
    }
  });

  it('of the liveness protocol has none of them', async () => {
    const { manager, engine } = await startFake();
    await manager.registerRoute(ROUTE, 'eth0');
    expect(specOf(engine)).toMatchObject({ multihop: false, minTtl: undefined, bfd: undefined });
  });

  it.each([
    [{ multihop: true }],
    [{ multihop: false }],
    [{ passive: true }],
    [{ minTtl: 255 }],
    [{ auth: auth([1, SECRET]) }],
    [{ auth: SECRET } as never],
    [{ onPeerAdminDown: 'withdraw' }],
  ] satisfies [RegisterSessionOptions][])('of the liveness protocol is refused with %j, without showing a key', async (options) => {
    const { manager, engine } = await startFake();
    const [path] = Object.keys(options);
    for (const refused of [
      manager.registerRoute(ROUTE, 'eth0', options),
      manager.registerSession(PEER, options),
      manager.registerRoutes([{ route: ROUTE, iface: 'eth0', ...(options as object) }]),
    ]) {
      const error: unknown = await refused.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining(`\`${path}\` is an option of BFD`) as string });
      expect(inspect(error, { depth: Infinity })).not.toContain(SECRET);
    }
    expect(engine.calls).toEqual([]);
  });

  it.each([
    [{ multihop: 1 }, 'multihop'],
    [{ passive: 'yes' }, 'passive'],
    [{ multihop: true, minTtl: 256 }, 'minTtl'],
    [{ onPeerAdminDown: 'ignore' }, 'onPeerAdminDown'],
    [{ auth: SECRET }, 'auth'],
    [{ auth: { type: SECRET, keys: [{ id: 1, key: SECRET }] } }, 'auth.type'],
    [{ auth: { type: 'md5', keys: [{ id: 1, key: `${SECRET}${SECRET}` }] } }, 'auth.keys.0.key'],
  ])('is refused with %j, the issue names the field, and no error shows a key', async (options, path) => {
    const { manager, engine } = await startBfd();
    const error: unknown = await manager.registerRoute(ROUTE, 'eth0', options as never).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'ERR_CONFIG', issues: [{ path }] });
    expect(inspect(error, { depth: Infinity })).not.toContain(SECRET);
    await expect(manager.registerRoutes([{ route: ROUTE, iface: 'eth0', ...(options as object) }])).rejects.not.toThrow(SECRET);
    expect(engine.calls).toEqual([]);
  });

  it('with `minTtl` on a single hop is refused with the reason', async () => {
    const { manager } = await startBfd();
    const refused = manager.registerRoute(ROUTE, 'eth0', { minTtl: 250 });
    await expect(refused).rejects.toThrow(/a single hop requires a TTL of 255 \(RFC 5881 §5\), and `minTtl` of the configuration/);
  });

  it('with `minTtl` on an engine that cannot see the TTL is refused', async () => {
    class JsFake extends FakeEngine {
      override readonly kind = 'js';
    }
    let engine: JsFake | undefined;
    const config = { ...CONFIG, netlinker: new MemoryRoutes(), protocol: 'bfd' } as const;
    const manager = await startManager(config, undefined, (_, options, listener) => {
      engine = new JsFake(options, listener);
      return Promise.resolve(engine);
    });
    await manager.registerRoute({ ...ROUTE, dst: '10.9.0.3/32' }, 'eth0', { multihop: true });
    const refused = manager.registerRoute(ROUTE, 'eth0', { multihop: true, minTtl: 250 });
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
    expect(engine?.sessions.size).toBe(1);
  });
});

describe('a shared session of BFD', () => {
  it.each([
    ['multihop', { multihop: true }],
    ['passive', { passive: true }],
    ['auth', { auth: auth([1, 'a']) }],
    ['onPeerAdminDown', { onPeerAdminDown: 'keep' }],
    ['minTtl', { multihop: true, minTtl: 3 }, { multihop: true }],
  ] satisfies [string, RegisterOptions, RegisterOptions?][])(
    'keeps its %s when a further route asks for another',
    async (path, options, first: RegisterOptions = {}) => {
      const { manager, engine } = await startBfd();
      await manager.registerRoute(ROUTE, 'eth0', first);
      const before = specOf(engine);
      const refused = manager.registerRoute({ ...ROUTE, priority: 1 }, 'eth0', options);
      await expect(refused).rejects.toMatchObject({ code: 'ERR_CONFIG', issues: [{ path }] });
      const together = manager.registerRoutes([
        { route: { ...ROUTE, dst: '10.9.0.3/32' }, iface: 'eth0', ...first },
        { route: { ...ROUTE, dst: '10.9.0.3/32', priority: 1 }, iface: 'eth0', ...options },
      ]);
      await expect(together).rejects.toMatchObject({ code: 'ERR_CONFIG', issues: [{ index: 1, code: 'ERR_CONFIG' }] });
      expect(specOf(engine)).toEqual(before);
      await manager.registerRoute({ ...ROUTE, priority: 1 }, 'eth0', first);
    },
  );

  it('is joined by a route with equal keys, in other objects', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0', { auth: auth([1, SECRET]) });
    await manager.registerRoute({ ...ROUTE, priority: 1 }, 'eth0', {
      auth: { type: 'meticulous-sha1', keys: [{ id: 1, key: Buffer.from(SECRET) }] },
    });
    expect(engine.calls).toEqual(['add 1']);
  });

  it('never shows a key in the error about other keys', async () => {
    const { manager } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0', { auth: auth([1, SECRET]) });
    const error: unknown = await manager.registerRoute({ ...ROUTE, priority: 1 }, 'eth0', { auth: auth([1, `${SECRET}2`]) }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ message: expect.stringMatching(/has another auth$/) as string });
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(SECRET);
  });
});

describe('a session of BFD that is registered again', () => {
  it('gets other keys in place: a key is rolled over without an end of the session', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0', { auth: auth([1, 'old']) });
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
      await manager.registerRoute(ROUTE, 'eth0', { auth: auth(...keys) });
      expect(secretsOf(specOf(engine))).toEqual(keys);
    }
    expect(engine.calls).toEqual(['add 1', 'update 1', 'update 1', 'update 1']);
    await manager.registerRoute(ROUTE, 'eth0', { auth: auth([2, 'new']) });
    expect(engine.calls, 'equal keys change nothing').toHaveLength(4);
  });

  it('gets another role, another least TTL and no keys in place', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerSession(PEER, { multihop: true, auth: auth([1, 'a']) });
    await manager.registerSession(PEER, { multihop: true, passive: true, minTtl: 10 });
    expect(specOf(engine)).toMatchObject({ minTtl: 10, bfd: { passive: true, auth: undefined } });
  });

  it.each([
    [{ multihop: false }, { multihop: true }, 'is single-hop: withdraw it before it is registered with `multihop`'],
    [{ multihop: true }, { multihop: false }, 'is multihop: withdraw it before it is registered without `multihop`'],
  ])('cannot change from %j to %j', async (first, second, message) => {
    const { manager, engine } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0', first);
    const refused = manager.registerRoute(ROUTE, 'eth0', second);
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      issues: [{ path: 'multihop' }],
      message: expect.stringContaining(message) as string,
    });
    await manager.withdrawRoute(ROUTE, 'eth0');
    await manager.registerRoute(ROUTE, 'eth0', second);
    expect(specOf(engine).multihop).toBe(second.multihop);
  });

  it('has its former keys again where the backend of an observing manager fails', async () => {
    let fails = false;
    const memory = new MemoryRoutes();
    const netlinker = {
      routeAdd: (route: Route) => {
        if (fails) throw new Error('full');
        memory.routeAdd(route);
      },
      routeDelete: (route: Route) => memory.routeDelete(route),
      routeByProtocol: (protocol: number) => memory.routeByProtocol(protocol),
    };
    const { manager, engine } = await startBfd({ passiveMode: true, netlinker });
    await manager.registerRoute(ROUTE, 'eth0', { auth: auth([1, 'old']) });
    fails = true;
    const refused = manager.registerRoute({ ...ROUTE, nextHop: '10.0.0.3' }, 'eth0', { auth: auth([2, 'new']) });
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND' });
    expect(secretsOf(specOf(engine))).toEqual([[1, 'old']]);
  });
});

describe('a multihop session', () => {
  it('is added after its sockets are open', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerRoute(ROUTE, 'eth0', { multihop: true });
    expect(engine.calls).toEqual(['open multihop', 'add 1']);
    await manager.registerRoute({ ...ROUTE, priority: 1 }, 'eth0', { multihop: true });
    expect(engine.calls, 'a shared session opens nothing').toEqual(['open multihop', 'add 1']);
  });

  it('whose sockets cannot be opened is refused with that, and nothing is registered', async () => {
    const { manager, engine } = await startBfd();
    engine.multihopError = Object.assign(new Error('no buffers'), { code: 'ENOBUFS' });
    const other = { ...ROUTE, dst: '10.9.0.3/32' };
    await expect(manager.registerRoute(ROUTE, 'eth0', { multihop: true })).rejects.toBe(engine.multihopError);
    await expect(manager.registerSession(PEER, { multihop: true })).rejects.toBe(engine.multihopError);
    const together = manager.registerRoutes([
      { route: other, iface: 'eth0' },
      { route: ROUTE, iface: 'eth0', multihop: true },
    ]);
    await expect(together).rejects.toMatchObject({ code: 'ENOBUFS', issues: [{ index: 1, message: 'no buffers' }] });
    expect(manager.getSessions()).toEqual([]);
    expect(engine.sessions.size).toBe(0);
    engine.multihopError = undefined;
    await manager.registerRoute(ROUTE, 'eth0', { multihop: true });
    expect(engine.sessions.size).toBe(1);
  });

  it('of a call that is refused opens no sockets', async () => {
    const { manager, engine } = await startBfd();
    engine.faults.push({ iface: 'eth9', code: 'ERR_NO_SUCH_INTERFACE' });
    await expect(manager.registerRoute(ROUTE, 'eth9', { multihop: true })).rejects.toMatchObject({ code: 'ERR_NO_SUCH_INTERFACE' });
    expect(engine.calls).toEqual([]);
  });

  it('is refused on a second interface: on the wire both would be one', async () => {
    const { manager, engine } = await startBfd();
    await manager.registerSession(PEER, { multihop: true });
    const second = { ...PEER, iface: 'eth1' };
    const refused = manager.registerSession(second, { multihop: true });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      issues: [{ path: 'multihop' }],
      message: expect.stringContaining('between 10.0.0.1 and 10.9.0.2 is on eth0 already') as string,
    });
    await manager.registerSession(second);
    expect(engine.sessions.size, 'a single hop is another session').toBe(2);
    await manager.withdrawSession(PEER);
    await manager.withdrawSession(second);
    await manager.registerSession(second, { multihop: true });
    expect(specOf(engine).iface).toBe('eth1');
  });

  it('is refused on a second interface within one call, and after a refused call both are free', async () => {
    const { manager } = await startBfd();
    const registrations = ['eth0', 'eth1'].map((iface, index) => ({ route: { ...ROUTE, priority: index }, iface, multihop: true }));
    await expect(manager.registerRoutes(registrations)).rejects.toMatchObject({ issues: [{ index: 1, code: 'ERR_CONFIG' }] });
    expect(manager.getSessions()).toEqual([]);
    await manager.registerSession({ ...PEER, iface: 'eth1' }, { multihop: true });
  });

  it.each([
    [{ iface: 'eth0', localIP: '2001:db8::1', peerIP: 'fe80::2' }, 'fe80::2'],
    [{ iface: 'eth0', localIP: 'febf::1', peerIP: '2001:db8::2' }, 'febf::1'],
  ])('between %j is refused, since routers forward no link-local address', async (peer, address) => {
    const { manager, engine } = await startBfd({ bindIP: '::' });
    const refused = manager.registerSession(peer, { multihop: true });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining(`${address} is link-local`) as string,
    });
    await manager.registerSession(peer);
    expect(engine.calls).toEqual(['add 1']);
  });
});

describe('the passive role', () => {
  it('is warned of once per manager, in the log', async () => {
    const log = newLog();
    const { manager } = await startBfd({ logger: log.logger });
    await manager.registerSession(PEER);
    expect(log.lines.filter(({ fields }) => fields['code'] === 'ERR_PASSIVE_ROLE')).toEqual([]);
    await manager.registerSession(PEER, { passive: true });
    await manager.registerSession({ ...PEER, peerIP: '10.9.0.3' }, { passive: true });
    const warned = log.lines.filter(({ fields }) => fields['code'] === 'ERR_PASSIVE_ROLE');
    expect(warned).toMatchObject([{ level: 'warn', message: expect.stringContaining('they never come up') as string }]);
  });

  it('is a warning of the process where there is no logger', async () => {
    const emitted = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
    try {
      const { manager } = await startBfd();
      await manager.registerSession(PEER, { passive: true });
      expect(emitted.mock.calls).toMatchObject([[expect.stringContaining('passive'), { code: 'ERR_PASSIVE_ROLE' }]]);
    } finally {
      emitted.mockRestore();
    }
  });
});

it('the keys of sessions are in no inspection of a manager, its snapshots or its log', async () => {
  const log = newLog();
  const { manager, engine } = await startBfd({ logger: log.logger });
  await manager.registerRoute(ROUTE, 'eth0', { auth: auth([1, SECRET]) });
  engine.become('10.9.0.2', 'up');
  engine.become('10.9.0.2', 'down');
  await settle();
  const options = { depth: Infinity, showHidden: true, breakLength: Infinity, compact: true };
  const bytes = [...Buffer.from(SECRET)].join(', ');
  for (const shown of [manager, manager.getSessions(), manager.getSession(PEER), manager.stats(), log.lines]) {
    const text = inspect(shown, options);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(bytes);
  }
});
