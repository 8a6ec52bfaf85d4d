/** The JavaScript engine in BFD, over real sockets: ports, families, multihop, keys. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, describe, expect, it } from 'vitest';

import type { EngineListener, EngineOptions, SessionRecord, SessionSpec } from '../../ts/engine/engine.js';
import { JsEngine } from '../../ts/engine/js/js-engine.js';
import { BfdPacket, type BfdPacketFields, type State } from '../../ts/protocol.js';
import type { SessionAuth } from '../../ts/protocol/bfd/options.js';
import { FakeUDP } from './fake-udp.js';
import { ENGINE_OPTIONS } from './engine-options.js';

const OPTIONS: EngineOptions = { ...ENGINE_OPTIONS, protocol: 'bfd', minTtl: 1 };

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function start(changes: Partial<EngineOptions> = {}, udp?: FakeUDP) {
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
  open.push(() => engine.close({ adminDown: false }));
  return { engine, records, warnings, port: engine.localAddr()?.port ?? 0 };
}

function spec(id: number, localIP: string, peerIP: string, peerPort: number, changes: Partial<SessionSpec> = {}): SessionSpec {
  return { id, iface: 'lo', localIP, peerIP, peerPort, txMinUs: 20_000, rxMinUs: 20_000, detectMult: 5, ...changes };
}

/** A peer that the test plays. */
class Peer {
  readonly heard: { readonly packet: BfdPacket; readonly port: number }[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, { port }) => void this.heard.push({ packet: BfdPacket.unmarshal(bytes), port }));
  }

  static async bind(address: string, port = 0): Promise<Peer> {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.bind(port, address);
    await once(socket, 'listening');
    open.push(() => socket.close());
    return new Peer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  say(port: number, address: string, state: State, changes: Partial<BfdPacketFields> = {}): void {
    const peerDiscr = this.heard.at(-1)?.packet.localDiscr ?? 0;
    const fields = { state, detectMult: 3, localDiscr: 99, peerDiscr, desiredMinTxUs: 500_000, requiredMinRxUs: 20_000 };
    this.#socket.send(new BfdPacket({ ...fields, ...changes }).marshal(), port, address);
  }

  /** The next packet of which something holds. */
  async next(holds: (packet: BfdPacket) => boolean = () => true): Promise<BfdPacket> {
    const before = this.heard.length;
    for (;;) {
      const found = this.heard.slice(before).find(({ packet }) => holds(packet));
      if (found !== undefined) return found.packet;
      await delay(2);
    }
  }
}

/** A port that nobody has. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2);
}

function stateOf(engine: JsEngine, id: number): State | undefined {
  return engine.snapshots([id])[0]?.state;
}

/** Two engines between two addresses, whose sessions come Up and agree their intervals. */
async function pair(one: string, two: string, changes: Partial<SessionSpec> = {}) {
  const engines = [await start({ bindIPs: [one] }), await start({ bindIPs: [two] })] as const;
  const [first, second] = engines;
  first.engine.addSessions([spec(1, one, two, second.port, changes)]);
  second.engine.addSessions([spec(1, two, one, first.port, changes)]);
  const isSettled = (engine: JsEngine): boolean => {
    const [reading] = engine.snapshots([1]);
    return reading?.state === 'up' && reading.polling === false && reading.detectTimeUs === 100_000;
  };
  await until(() => isSettled(first.engine) && isSettled(second.engine));
  return engines;
}

describe('the JavaScript engine in BFD', () => {
  it.each([
    ['IPv4', '127.0.0.1', '127.0.0.2'],
    ['IPv6', '::1', '::1'],
  ])('comes Up over %s, agrees the intervals with a Poll, and goes Down with diagnostic 1 when its peer is gone', async (_, one, two) => {
    const [first, second] = await pair(one, two);
    expect(first.engine.snapshots([1])).toMatchObject([{ detectTimeUs: 100_000, txIntervalUs: 20_000, remoteDetectMult: 5, localDiag: 0 }]);
    await second.engine.close({ adminDown: false });
    await until(() => stateOf(first.engine, 1) === 'down');
    expect(first.records.at(-1)).toMatchObject({ from: 'up', to: 'down', reason: 'timeout', localDiag: 1 });
    expect(first.engine.stats().endpoints.map(({ localDiagnostics }) => localDiagnostics)).toContainEqual([0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('says AdminDown with diagnostic 7 when it closes so, and the peer goes Down', async () => {
    const [first, second] = await pair('127.0.0.1', '127.0.0.2');
    await second.engine.close({ adminDown: true });
    await until(() => stateOf(first.engine, 1) === 'down');
    expect(first.records.at(-1)).toMatchObject({ to: 'down', reason: 'remote_admin', localDiag: 3, remoteDiag: 7 });
  });

  it('sends the packets of each session from one port of its own in 49152 to 65535, from the top (RFC 5881 §4)', async () => {
    const { engine, port } = await start();
    const peers = [await Peer.bind('127.0.0.11'), await Peer.bind('127.0.0.12')] as const;
    engine.addSessions(peers.map((peer, index) => spec(index + 1, '127.0.0.1', `127.0.0.1${index + 1}`, peer.port)));
    for (const peer of peers) {
      await until(() => peer.heard.length > 0);
      peer.say(port, '127.0.0.1', 'init');
      await until(() => peer.heard.length > 5);
    }
    const ports = peers.map(({ heard }) => [...new Set(heard.map((packet) => packet.port))]);
    expect(
      ports.map(({ length }) => length),
      'constant',
    ).toEqual([1, 1]);
    const [one = 0, two = 0] = ports.flat();
    expect([one, two].every((source) => source >= 49_152 && source <= 65_535)).toBe(true);
    expect(one).toBeGreaterThan(two);
    expect([one, two]).not.toContain(port);
  });

  it('skips a source port that is taken', async () => {
    const { engine: first } = await start();
    const peer = await Peer.bind('127.0.0.11');
    first.addSessions([spec(1, '127.0.0.1', '127.0.0.11', peer.port)]);
    await peer.next();
    const taken = peer.heard.at(-1)?.port ?? 0;
    // A second engine begins at the top, too.
    const { engine: second, warnings } = await start();
    const other = await Peer.bind('127.0.0.12');
    second.addSessions([spec(1, '127.0.0.1', '127.0.0.12', other.port)]);
    await other.next();
    expect(other.heard.at(-1)?.port).toBeLessThan(taken);
    expect(warnings.filter((warning) => /EADDRINUSE/.test(warning))).toEqual([]);
  });

  it('gives a source port back when its session is removed', async () => {
    const { engine } = await start();
    const peer = await Peer.bind('127.0.0.11');
    engine.addSessions([spec(1, '127.0.0.1', '127.0.0.11', peer.port)]);
    await peer.next();
    const port = peer.heard.at(-1)?.port ?? 0;
    engine.removeSessions([1]);
    await delay(10);
    const again = createSocket('udp4');
    again.bind(port, '127.0.0.1');
    await once(again, 'listening');
    again.close();
  });

  it('answers a Poll with a Final at once', async () => {
    const { engine, port } = await start();
    const peer = await Peer.bind('127.0.0.11');
    engine.addSessions([spec(1, '127.0.0.1', '127.0.0.11', peer.port)]);
    await until(() => peer.heard.length > 0);
    peer.say(port, '127.0.0.1', 'init', { requiredMinRxUs: 0, poll: true });
    const answer = await peer.next(({ final }) => final);
    expect(answer).toMatchObject({ final: true, poll: false, state: 'up', peerDiscr: 99, requiredMinEchoRxUs: 0 });
  });

  it('hears multihop sessions on their own port, and single-hop sessions between the same addresses on theirs', async () => {
    const multihopPort = await freePort();
    const { engine } = await start({ bindIPs: ['0.0.0.0'], multihopPort });
    engine.openMultihop();
    engine.openMultihop();
    const near = await Peer.bind('127.0.0.11');
    const far = await Peer.bind('127.0.0.11');
    engine.addSessions([spec(1, '127.0.0.1', '127.0.0.11', near.port), spec(2, '127.0.0.1', '127.0.0.11', far.port, { multihop: true })]);
    await until(() => near.heard.length > 0 && far.heard.length > 0);
    const listening = engine.localAddr()?.port ?? 0;
    far.say(multihopPort, '127.0.0.1', 'down', { peerDiscr: 0 });
    await until(() => stateOf(engine, 2) === 'init');
    expect(stateOf(engine, 1)).toBe('down');
    near.say(listening, '127.0.0.1', 'down', { peerDiscr: 0 });
    await until(() => stateOf(engine, 1) === 'init');
    expect(
      engine
        .stats()
        .endpoints.map(({ iface }) => iface)
        .sort(),
    ).toEqual(['', 'lo']);
  });

  it('rolls keys over without a flap', async () => {
    const auth = (...ids: number[]): SessionAuth => ({
      type: 'meticulous-sha1',
      keys: ids.map((id) => ({ id, secret: Buffer.from(`sesame${id}`), variant: 'rfc' })),
    });
    const [first, second] = await pair('127.0.0.1', '127.0.0.2', { bfd: { passive: false, auth: auth(1) } });
    const give = ({ engine }: typeof first, to: typeof first, keys: SessionAuth, ips: [string, string]): void =>
      engine.updateSessions([spec(1, ...ips, to.port, { bfd: { passive: false, auth: keys } })]);
    const update = (keys: SessionAuth, which: 'first' | 'second'): void =>
      which === 'first' ? give(first, second, keys, ['127.0.0.1', '127.0.0.2']) : give(second, first, keys, ['127.0.0.2', '127.0.0.1']);
    const rolls: [SessionAuth, 'first' | 'second'][] = [
      [auth(1, 2), 'first'],
      [auth(2, 1), 'second'],
      [auth(2), 'first'],
      [auth(2), 'second'],
    ];
    for (const [keys, which] of rolls) {
      update(keys, which);
      await delay(150);
    }
    for (const { engine, records } of [first, second]) {
      expect(engine.snapshots([1])).toMatchObject([{ state: 'up', authKeyId: 2 }]);
      expect(records.filter(({ from, to }) => from === 'up' && to === 'down')).toEqual([]);
    }
  });

  it('refuses a least TTL of a session, which Node cannot check', async () => {
    const { engine } = await start();
    const sessions = [spec(1, '127.0.0.1', '127.0.0.2', 1), spec(2, '127.0.0.1', '127.0.0.3', 1, { minTtl: 254 })];
    expect(() => engine.addSessions(sessions)).toThrow(expect.objectContaining({ code: 'ERR_ENGINE_UNAVAILABLE' }));
    expect(engine.snapshots(), 'no session was added').toEqual([]);
    engine.addSessions([spec(1, '127.0.0.1', '127.0.0.2', 1, { minTtl: 1 })]);
    expect(engine.snapshots()).toHaveLength(1);
  });

  it('serves over a transport of the user, but no multihop sessions', async () => {
    const udp = new FakeUDP();
    const { engine } = await start({}, udp);
    engine.addSessions([spec(1, '10.0.0.1', '10.0.0.2', 3784, { iface: 'eth0' })]);
    await until(() => udp.written.length > 0);
    const sent = BfdPacket.unmarshal(udp.written[0]?.bytes ?? new Uint8Array());
    const fields = { detectMult: 3, localDiscr: 99, peerDiscr: sent.localDiscr, desiredMinTxUs: 50_000, requiredMinRxUs: 50_000 };
    udp.deliver(new BfdPacket({ state: 'init', ...fields }).marshal());
    await until(() => stateOf(engine, 1) === 'up');
    const v6 = { localIP: '2001:db8::1', remote: { address: '2001:db8::2', port: 3784 } };
    engine.addSessions([spec(2, v6.localIP, v6.remote.address, 3784, { iface: 'eth0' })]);
    udp.deliver(new BfdPacket({ state: 'down', ...fields, peerDiscr: 0 }).marshal(), v6);
    await until(() => stateOf(engine, 2) === 'init');
    expect(() => engine.openMultihop()).toThrow(expect.objectContaining({ code: 'ERR_ENGINE_UNAVAILABLE' }));
  });

  it('tells of a failed start which address cannot be bound, and leaves no socket behind', async () => {
    const holder = await Peer.bind('::1');
    const changes = { bindIPs: ['127.0.0.1', '::1'], port: holder.port };
    await expect(start(changes)).rejects.toMatchObject({ code: 'EADDRINUSE', message: expect.stringContaining('::1') as string });
    await Peer.bind('127.0.0.1', holder.port);
  });
});
