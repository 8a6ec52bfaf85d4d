/** Two JavaScript engines in BFD on simulated hosts: every time is exact, and no socket is opened. */
import { describe, expect, it } from 'vitest';

import type { EngineOptions, SessionRecord, SessionSpec } from '../../ts/engine/engine.js';
import { JsEngine } from '../../ts/engine/js/js-engine.js';
import { BfdPacket } from '../../ts/protocol.js';
import type { BfdSessionOptions } from '../../ts/protocol/bfd/options.js';
import { Xorshift32 } from '../../ts/protocol/jitter.js';
import { NetworkHost, SimulatedTransport, type Wire } from '../../ts/sim/network-host.js';
import { SimulatedClock } from '../../ts/sim/simulated-clock.js';
import { ENGINE_OPTIONS } from './engine-options.js';

const [ONE, TWO] = ['10.0.0.1', '10.0.0.2'] as const;
const DELAY_MS = 5;

const OPTIONS: EngineOptions = { ...ENGINE_OPTIONS, protocol: 'bfd', bindIPs: [], port: 3784, multihopPort: 4784 };

interface Side {
  readonly engine: JsEngine;
  readonly records: SessionRecord[];
}

/** A link of 5 ms that can be cut, and what was sent over it. */
class Link implements Wire {
  readonly clock = new SimulatedClock();
  readonly sent: { readonly at: number; readonly from: string; readonly port: number; readonly packet: BfdPacket }[] = [];
  readonly #ends = new Map<string, SimulatedTransport>();
  isCut = false;

  bind(transport: SimulatedTransport, port: number): number {
    this.#ends.set(`${transport.host.address} ${port}`, transport);
    return port;
  }

  unbind(transport: SimulatedTransport, port: number): void {
    this.#ends.delete(`${transport.host.address} ${port}`);
  }

  send(from: SimulatedTransport, peerIP: string, port: number, bytes: Uint8Array): void {
    const { address } = from.host;
    this.sent.push({ at: this.clock.now, from: address, port, packet: BfdPacket.unmarshal(bytes) });
    if (this.isCut) return;
    this.clock.at(this.clock.now + DELAY_MS, () => this.#ends.get(`${peerIP} ${port}`)?.receive(bytes, address, port));
  }

  async start(address: string): Promise<Side> {
    const host = new NetworkHost(address, this.clock, new Xorshift32(address.length + this.#ends.size), 0);
    const records: SessionRecord[] = [];
    const ignore = (): void => undefined;
    const listener = {
      sessions: (told: readonly SessionRecord[]) => void records.push(...told),
      routes: ignore,
      warning: ignore,
      fatal: ignore,
    };
    const platform = {
      environment: host,
      host,
      hasPacketInfo: false,
      open: (receives: ConstructorParameters<typeof SimulatedTransport>[3]) => new SimulatedTransport(host, this, OPTIONS, receives),
    };
    return { engine: await JsEngine.startOn(platform, OPTIONS, listener), records };
  }
}

async function startPair(changes: Partial<SessionSpec> = {}, roles: readonly [BfdSessionOptions?, BfdSessionOptions?] = []) {
  const link = new Link();
  const [one, two] = [await link.start(ONE), await link.start(TWO)] as const;
  const timers = { txMinUs: 50_000, rxMinUs: 50_000, detectMult: 3 };
  const spec = (localIP: string, peerIP: string, bfd?: BfdSessionOptions): SessionSpec => ({
    id: 1,
    iface: 'eth0',
    localIP,
    peerIP,
    peerPort: changes.multihop === true ? 4784 : 3784,
    ...timers,
    bfd,
    ...changes,
  });
  if (changes.multihop === true) for (const { engine } of [one, two]) engine.openMultihop();
  one.engine.addSessions([spec(ONE, TWO, roles[0])]);
  two.engine.addSessions([spec(TWO, ONE, roles[1])]);
  return { link, one, two, spec };
}

const statesOf = (...sides: Side[]): (string | undefined)[] => sides.map(({ engine }) => engine.snapshots([1])[0]?.state);

async function closeAll(...sides: Side[]): Promise<void> {
  await Promise.all(sides.map(({ engine }) => engine.close({ adminDown: false })));
}

describe('two simulated hosts in BFD', () => {
  it('come Up, agree their intervals, and notice a cut after the detection time of the last packet', async () => {
    const { link, one, two } = await startPair();
    await link.clock.run(5_000);
    expect(statesOf(one, two)).toEqual(['up', 'up']);
    expect(one.engine.snapshots()).toMatchObject([{ polling: false, detectTimeUs: 150_000, remoteTxMinUs: 50_000 }]);
    link.isCut = true;
    const cutAt = link.clock.now;
    await link.clock.run(1_000);
    expect(statesOf(one, two)).toEqual(['down', 'down']);
    const down = one.records.at(-1);
    expect(down).toMatchObject({ from: 'up', to: 'down', reason: 'timeout', localDiag: 1 });
    const after = (down?.atUs ?? 0) / 1_000 - cutAt;
    expect(after).toBeGreaterThan(150 - 50);
    expect(after).toBeLessThanOrEqual(150 + DELAY_MS + 1);
    link.isCut = false;
    await link.clock.run(3_000);
    expect(statesOf(one, two)).toEqual(['up', 'up']);
    await closeAll(one, two);
  });

  it('say AdminDown with diagnostic 7, are answered with Down and diagnostic 3 at once, and come Up again', async () => {
    const { link, one, two } = await startPair();
    await link.clock.run(5_000);
    const from = link.sent.length;
    const asked = link.clock.now;
    one.engine.setAdminDown([1], true);
    await link.clock.run(1_000);
    const said = link.sent.slice(from).find(({ packet }) => packet.state === 'admin_down');
    expect(said?.packet.diagnostic).toBe('administratively_down');
    expect((said?.at ?? Infinity) - asked).toBeLessThanOrEqual(50);
    const answer = link.sent.find(({ at, from: sender, packet }) => at > (said?.at ?? 0) && sender === TWO && packet.state === 'down');
    expect(answer?.packet.diagnostic).toBe('neighbour_signalled_down');
    expect((answer?.at ?? Infinity) - (said?.at ?? 0)).toBeLessThanOrEqual(DELAY_MS + 50);
    expect(two.records.at(-1)).toMatchObject({ to: 'down', reason: 'remote_admin', localDiag: 3, remoteDiag: 7 });
    await link.clock.run(20_000);
    const silentFrom = link.sent.findLast(({ from: sender }) => sender === ONE)?.at ?? 0;
    expect(silentFrom - asked, 'said for the detection time of the peer, then silence').toBeLessThan(4_000);
    one.engine.setAdminDown([1], false);
    await link.clock.run(5_000);
    expect(statesOf(one, two)).toEqual(['up', 'up']);
    await closeAll(one, two);
  });

  it('of which one is passive come Up, and two passive ones never send', async () => {
    const passive = { passive: true, auth: undefined };
    const half = await startPair({}, [passive]);
    await half.link.clock.run(5_000);
    expect(half.link.sent[0]?.from, 'the active side speaks first').toBe(TWO);
    expect(statesOf(half.one, half.two)).toEqual(['up', 'up']);
    const none = await startPair({}, [passive, passive]);
    await none.link.clock.run(60_000);
    expect(none.link.sent).toEqual([]);
    await closeAll(half.one, half.two, none.one, none.two);
  });

  it('change their intervals while Up without a flap', async () => {
    const { link, one, two, spec } = await startPair();
    await link.clock.run(5_000);
    for (const intervalUs of [400_000, 20_000, 900_000, 50_000]) {
      one.engine.updateSessions([{ ...spec(ONE, TWO), txMinUs: intervalUs, rxMinUs: intervalUs }]);
      await link.clock.run(5_000);
      const [reading] = one.engine.snapshots([1]);
      expect(reading).toMatchObject({ state: 'up', polling: false, txIntervalUs: Math.max(intervalUs, 50_000) });
    }
    expect([...one.records, ...two.records].filter(({ from }) => from === 'up')).toEqual([]);
    await closeAll(one, two);
  });

  it('come Up as multihop sessions on their own port', async () => {
    const { link, one, two } = await startPair({ multihop: true });
    await link.clock.run(5_000);
    expect(statesOf(one, two)).toEqual(['up', 'up']);
    expect(new Set(link.sent.map(({ port }) => port))).toEqual(new Set([4784]));
    await closeAll(one, two);
  });
});
