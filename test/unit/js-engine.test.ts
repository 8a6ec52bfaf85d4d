/** The JavaScript engine: what it does where Node shows less than the kernel knows, and over transports of the user's. */
import { readFileSync } from 'node:fs';
import { setImmediate as round, setTimeout as delay } from 'node:timers/promises';

import { afterEach, describe, expect, it } from 'vitest';

import type { EngineListener, EngineOptions, SessionRecord, SessionSpec } from '../../ts/engine/engine.js';
import { JsEngine } from '../../ts/engine/js/js-engine.js';
import { localOf, splitZone, withZone } from '../../ts/engine/js/zones.js';
import { ControlPacket, listenUDP, monotonicNow, type UDPService } from '../../ts/protocol.js';
import type { State } from '../../ts/protocol/state.js';
import { FakeUDP } from './fake-udp.js';
import { packet } from './session-helpers.js';
import { ENGINE_OPTIONS } from './engine-options.js';

const engines: JsEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close({ adminDown: false });
});

async function start(changes: Partial<EngineOptions> = {}, udp?: UDPService) {
  const records: SessionRecord[] = [];
  const warnings: string[] = [];
  const listener: EngineListener = {
    sessions: (told) => void records.push(...told),
    routes: () => undefined,
    warning: (_, message) => void warnings.push(message),
    fatal: (error) => {
      throw error;
    },
  };
  const engine = await JsEngine.start({ ...ENGINE_OPTIONS, ...changes }, listener, udp);
  engines.push(engine);
  return { engine, records, warnings };
}

function spec(id: number, changes: Partial<SessionSpec> = {}): SessionSpec {
  const timers = { txMinUs: 20_000, rxMinUs: 20_000, detectMult: 3 };
  return { id, iface: 'lo', localIP: '127.0.0.1', peerIP: '127.0.0.2', peerPort: 44880, ...timers, ...changes };
}

/** Waits until something holds, for as long as a test may take. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2);
}

function stateOf(engine: JsEngine, id: number): State | undefined {
  return engine.snapshots([id])[0]?.state;
}

describe('an address that sockets take or show', () => {
  it('has the interface as its zone if it is link-local, and no other address has one', () => {
    const iface = 'eth0';
    expect(['fe80::1', 'febf::1', 'fec0::1', '2001:db8::fe80', '10.0.0.1'].map((address) => withZone(address, iface))).toEqual([
      'fe80::1%eth0',
      'febf::1%eth0',
      'fec0::1',
      '2001:db8::fe80',
      '10.0.0.1',
    ]);
    expect(localOf({ iface, localIP: 'fe80::1', peerIP: 'fe80::2' })).toBe('fe80::1%eth0');
    expect([splitZone('fe80::1%eth0'), splitZone('10.0.0.1')]).toEqual([
      { address: 'fe80::1', zone: 'eth0' },
      { address: '10.0.0.1', zone: undefined },
    ]);
  });
});

describe('the JavaScript engine with its own sockets', () => {
  it('serves one address of IPv4 and one of IPv6 on one port', async () => {
    const { engine: one } = await start({ bindIPs: ['127.0.0.1', '::1'] });
    const { engine: two } = await start({ bindIPs: ['::1'] });
    const ports = [one, two].map((engine) => engine.localAddr()?.port ?? 0);
    const v6 = { localIP: '::1', peerIP: '::1' };
    one.addSessions([spec(1, { ...v6, peerPort: ports[1] ?? 0 })]);
    two.addSessions([spec(1, { ...v6, peerPort: ports[0] ?? 0 })]);
    await until(() => stateOf(one, 1) === 'up' && stateOf(two, 1) === 'up');
    const { engine: three } = await start({ bindIPs: ['127.0.0.2'] });
    one.addSessions([spec(2, { peerPort: three.localAddr()?.port ?? 0 })]);
    three.addSessions([spec(1, { localIP: '127.0.0.2', peerIP: '127.0.0.1', peerPort: ports[0] ?? 0 })]);
    await until(() => stateOf(one, 2) === 'up' && stateOf(three, 1) === 'up');
    expect([one.localAddr(), two.localAddr()]).toMatchObject([{ family: 'IPv4' }, { family: 'IPv6', address: '::1' }]);
  });

  it('uses one port for all local addresses, even if the system chooses it', async () => {
    const { engine } = await start({ bindIPs: ['0.0.0.0'] });
    const peer = await listenUDP('127.0.0.50', 0);
    const { port = 0 } = peer.localAddr() ?? {};
    const locals = ['127.0.0.1', '127.0.0.3', '127.0.0.5'];
    engine.addSessions(locals.map((localIP, id) => spec(id, { localIP, peerIP: '127.0.0.50', peerPort: port })));
    const seen = new Map<string, number>();
    while (seen.size < locals.length) {
      const { remote } = await peer.readFrom();
      seen.set(remote.address, remote.port);
    }
    expect([...seen.keys()].sort()).toEqual(locals);
    expect(new Set(seen.values()), 'one port').toEqual(new Set([engine.localAddr()?.port]));
    await peer.close();
  });
});

/** The sockets of this process on a port. */
function socketsOn(port: number): string[] {
  const bound = readFileSync('/proc/self/net/udp', 'utf8').split('\n').slice(1);
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return bound.flatMap((line) => line.trim().split(/\s+/)[1] ?? []).filter((local) => local.endsWith(`:${hex}`));
}

describe('the sockets of the JavaScript engine', () => {
  it('close with the last session of their address, and open again with the next', async () => {
    const { engine } = await start({ bindIPs: ['0.0.0.0'] });
    const locals = Array.from({ length: 20 }, (_, index) => `127.0.0.${index + 100}`);
    engine.addSessions(locals.map((localIP, id) => spec(id, { localIP })));
    await until(() => socketsOn(engine.localAddr()?.port ?? 0).length === 20);
    const port = engine.localAddr()?.port ?? 0;
    engine.removeSessions(locals.slice(1).map((_, index) => index + 1));
    await until(() => socketsOn(port).length === 1);
    engine.addSessions([spec(50, { localIP: '127.0.0.105' })]);
    await until(() => socketsOn(port).length === 2);
    expect(engine.localAddr()?.port).toBe(port);
  });

  it('that are removed before the system has chosen the port delay no other socket', async () => {
    const { engine } = await start({ bindIPs: ['0.0.0.0'] });
    engine.addSessions([spec(1, { localIP: '127.0.0.100' })]);
    engine.removeSessions([1]);
    engine.addSessions([spec(2, { localIP: '127.0.0.101' })]);
    await until(() => socketsOn(engine.localAddr()?.port ?? 0).length === 1);
  });

  it('stay open for the address that the manager is bound to', async () => {
    const { engine } = await start();
    const port = engine.localAddr()?.port ?? 0;
    engine.addSessions([spec(1)]);
    engine.removeSessions([1]);
    await delay(50);
    expect(socketsOn(port)).toHaveLength(1);
  });

  it('count an address that cannot be bound as a warning and failed writes, not as failed reads', async () => {
    const { engine, warnings } = await start({ bindIPs: ['0.0.0.0'], port: 44_899 });
    // An address that is not ours.
    engine.addSessions([spec(1, { localIP: '192.0.2.1' })]);
    await until(() => warnings.some((message) => message.includes('192.0.2.1')));
    await until(() => engine.stats().endpoints.some(({ writeErrors }) => writeErrors > 0));
    expect(engine.stats().readErrors).toBe(0);
  });
});

describe('many sessions of the JavaScript engine', () => {
  it('are started in batches that yield to the event loop', async () => {
    const { engine, records } = await start({ maxSessions: 2_000 });
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const specs = Array.from({ length: 1_000 }, (_, id) => spec(id, { peerIP: `127.1.${id >> 8}.${id & 255}`, peerPort: 9 }));
    engine.addSessions(specs);
    // What is asked meanwhile counts for those that have not begun, too.
    engine.removeSessions([998]);
    engine.setAdminDown([997], true);
    engine.updateSessions([{ ...specs[996], detectMult: 7 } as SessionSpec]);
    expect(stateOf(engine, 997)).toBe('admin_down');
    expect(stateOf(engine, 995)).toBe('down');
    await until(() => new Set(records.map(({ id }) => id)).size >= 999);
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(9);
    expect(stateOf(engine, 998)).toBeUndefined();
    expect(records.some(({ id }) => id === 998)).toBe(false);
    expect(engine.snapshots([996])).toMatchObject([{ detectTimeUs: 140_000 }]);
  });

  it('are all present in getSessions at once', async () => {
    const { engine } = await start({ maxSessions: 2_000 });
    engine.addSessions(Array.from({ length: 1_000 }, (_, id) => spec(id, { peerIP: `127.1.${id >> 8}.${id & 255}`, peerPort: 9 })));
    expect(engine.snapshots()).toHaveLength(1_000);
    expect(engine.snapshots([999])).toHaveLength(1);
  });
});

describe('the JavaScript engine without packet info', () => {
  it('keeps a session that shares its addresses with a removed session on another interface', async () => {
    const udp = new FakeUDP();
    const { engine } = await start({}, udp);
    engine.addSessions([spec(1, { iface: 'lo' }), spec(2, { iface: 'eth7', detectMult: 255 })]);
    engine.removeSessions([1]);
    await round();
    udp.deliver(packet('down', 7, 0).marshal(), { localIP: '127.0.0.1', iface: '', remote: { address: '127.0.0.2', port: 44880 } });
    await until(() => stateOf(engine, 2) === 'init');
    engine.addSessions([spec(3, { iface: 'lo' })]);
    engine.removeSessions([3]);
    udp.deliver(packet('up', 7, engine.snapshots([2])[0]?.localDiscr ?? 0).marshal(), {
      localIP: '127.0.0.1',
      iface: '',
      remote: { address: '127.0.0.2', port: 44880 },
    });
    await until(() => stateOf(engine, 2) === 'up');
  });
});

describe('the JavaScript engine over a transport of the user', () => {
  const from = { address: '127.0.0.2', port: 44880 };

  /** A session that has come Up, and goes Down after so many intervals of 20 ms. */
  async function upOver(udp: FakeUDP, detectMult = 3) {
    const started = await start({}, udp);
    started.engine.addSessions([spec(1, { detectMult })]);
    await until(() => udp.written.length > 0);
    const { localDiscr } = ControlPacket.unmarshal(udp.written[0]?.bytes ?? new Uint8Array());
    udp.deliver(packet('init', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal(), { localIP: '127.0.0.1', iface: 'lo', remote: from });
    await until(() => started.records.some(({ to }) => to === 'up'));
    return { ...started, localDiscr };
  }

  it('takes a silent session Down although garbage arrives in every round of the event loop', async () => {
    const udp = new FakeUDP();
    const { engine, records } = await upOver(udp);
    let isFlooded = true;
    const flood = async (): Promise<void> => {
      while (isFlooded) {
        udp.deliver(new Uint8Array(3), { localIP: '127.0.0.1', iface: 'lo', remote: from });
        await round();
      }
    };
    const flooding = flood();
    await until(() => stateOf(engine, 1) !== 'up');
    isFlooded = false;
    await flooding;
    expect(records.filter(({ cause }) => cause === 'detect_timeout')).toMatchObject([{ from: 'up', to: 'down', reason: 'timeout' }]);
  });

  it('counts a write that throws as a failed write, with one warning that names the peer', async () => {
    const udp = new FakeUDP();
    const { engine, localDiscr, warnings } = await upOver(udp, 255);
    udp.writeTo = () => {
      throw new Error('not today');
    };
    const failed = (): number => engine.stats().endpoints.reduce((sum, { writeErrors }) => sum + writeErrors, 0);
    while (failed() < 3) {
      udp.deliver(packet('up', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal(), { localIP: '127.0.0.1', iface: 'lo', remote: from });
      await delay(5);
    }
    expect(stateOf(engine, 1)).toBe('up');
    expect(warnings.filter((text) => text.includes('cannot send'))).toEqual(['cannot send to 127.0.0.2: not today']);
  });

  it('tells of a stop of the event loop in a Down that the peer has said meanwhile', async () => {
    const udp = new FakeUDP();
    const { engine, records, localDiscr } = await upOver(udp);
    const hears = (state: State): void =>
      udp.deliver(packet(state, 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal(), { localIP: '127.0.0.1', iface: 'lo', remote: from });
    const lastDown = () => records.findLast((record) => record.lastDown !== undefined)?.lastDown;
    // Again where the machine itself stopped for longer than the detection time.
    while (lastDown()?.reason !== 'remote_down') {
      // A Down within the detection time after coming Up is left over from the handshake.
      for (let packets = 0; packets < 12; packets += 1) {
        hears(stateOf(engine, 1) === 'up' ? 'up' : 'init');
        await delay(10);
      }
      const stopped = monotonicNow();
      while (monotonicNow() < stopped + 200);
      hears('down');
      await delay(10);
    }
    const down = lastDown();
    // The detection time, 60 ms, was to be looked at before the end of the stop.
    expect(down?.localStallUs).toBeGreaterThanOrEqual(140_000);
  });

  it('counts an invalid datagram, and no session is affected', async () => {
    const udp = new FakeUDP();
    const { engine, localDiscr } = await upOver(udp);
    const up = packet('up', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal();
    udp.deliver(up, { localIP: '127.0.0.1', iface: 'lo', remote: from, arrival: Number.NaN });
    udp.deliver('text' as unknown as Uint8Array, { localIP: '127.0.0.1', iface: 'lo', remote: from });
    await until(() => engine.stats().readErrors >= 2);
    const deadlines = engine.snapshots([1]).flatMap(({ detectDeadlineUs }) => detectDeadlineUs ?? []);
    expect(deadlines.every(Number.isInteger)).toBe(true);
    await until(() => stateOf(engine, 1) === 'down');
  });

  it('does not keep a session Up by an arrival in the future', async () => {
    const udp = new FakeUDP();
    const { engine, localDiscr } = await upOver(udp);
    const up = packet('up', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal();
    udp.deliver(up, { localIP: '127.0.0.1', iface: 'lo', remote: from, arrival: Date.now() + 1e12 });
    await until(() => stateOf(engine, 1) === 'down');
  });
});
