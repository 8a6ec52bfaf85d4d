/** The JavaScript engine: what it does where Node shows less than the kernel knows, and over transports of the user's. */
import { setImmediate as round, setTimeout as delay } from 'node:timers/promises';

import { afterEach, describe, expect, it } from 'vitest';

import type { EngineListener, EngineOptions, SessionRecord, SessionSpec } from '../../ts/engine/engine.js';
import { JsEngine } from '../../ts/engine/js.js';
import { ControlPacket, listenUDP, type UDPService } from '../../ts/building-blocks.js';
import type { State } from '../../ts/protocol/state.js';
import { FakeUDP } from './fake-udp.js';
import { packet } from './session-helpers.js';

const OPTIONS: EngineOptions = {
  bindIP: '127.0.0.1',
  port: 0,
  minTxFloorUs: 10_000,
  maxTxCeilUs: 1_000_000,
  backoffMaxUs: 1_000_000,
  maxSessions: 100,
  passive: false,
  clientVersion: undefined,
  honorPeerAdvertisedPassive: false,
  requireDiscriminator: false,
  minTtl: undefined,
  takeOver: false,
  realtime: undefined,
};

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
  const engine = await JsEngine.start({ ...OPTIONS, ...changes }, listener, udp);
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

describe('on sockets of its own', () => {
  it('uses one port for all local addresses, also where the system chooses it', async () => {
    const { engine } = await start({ bindIP: '0.0.0.0' });
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

describe('where Node does not say what a packet came in by', () => {
  it('a session that leaves does not take the packets of another along, between the same addresses', async () => {
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

describe('over a transport of the user’s', () => {
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

  it('garbage in every round of the event loop does not keep a silent session Up', async () => {
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

  it('a write that throws at once is a failed write, told once with the peer, and costs nothing else', async () => {
    const udp = new FakeUDP();
    const { engine, localDiscr, warnings } = await upOver(udp, 255);
    udp.writeTo = () => {
      throw new Error('not today');
    };
    const failed = (): number => engine.stats().scopes.reduce((sum, { writeErrors }) => sum + writeErrors, 0);
    while (failed() < 3) {
      udp.deliver(packet('up', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal(), { localIP: '127.0.0.1', iface: 'lo', remote: from });
      await delay(5);
    }
    expect(stateOf(engine, 1)).toBe('up');
    expect(warnings.filter((text) => text.includes('cannot send'))).toEqual(['cannot send to 127.0.0.2: not today']);
  });

  it('a datagram that says nothing sensible of itself is counted, and harms no session', async () => {
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

  it('an arrival of another clock’s does not keep a session Up', async () => {
    const udp = new FakeUDP();
    const { engine, localDiscr } = await upOver(udp);
    const up = packet('up', 7, localDiscr, { desiredMinTxUs: 20_000 }).marshal();
    udp.deliver(up, { localIP: '127.0.0.1', iface: 'lo', remote: from, arrival: Date.now() + 1e12 });
    await until(() => stateOf(engine, 1) === 'down');
  });
});
