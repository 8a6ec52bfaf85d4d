/** BFD in the core of the JavaScript engine: which session a packet belongs to, what is counted, what readings and events have. */
import { inspect } from 'node:util';

import { describe, expect, it } from 'vitest';

import type { EndpointStats } from '../../ts/engine/engine.js';
import { EndpointCounters } from '../../ts/engine/js/endpoint-counters.js';
import { type CoreTransition, EngineCore, type Path } from '../../ts/engine/js/engine-core.js';
import { toRecord } from '../../ts/engine/js/session-records.js';
import { BfdPacket, type BfdPacketFields, RFC5880, type State } from '../../ts/protocol.js';
import { BFD } from '../../ts/protocol/bfd/bfd.js';
import type { BfdSessionOptions } from '../../ts/protocol/bfd/options.js';
import { Xorshift32 } from '../../ts/protocol/jitter.js';
import type { SessionCore } from '../../ts/protocol/session-core.js';
import { readSession } from '../../ts/protocol/session-status.js';

const OURS = 10;
const PEER = 99;
const PATH: Path = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' };
const TIMERS = { txMinUs: 50_000, rxMinUs: 50_000, detectMult: 3 };
const LIMITS = { minTxFloorUs: 10_000, maxTxCeilUs: 1_000_000, backoffMaxUs: 1_000_000 };

class Bench {
  readonly counters = new EndpointCounters();
  readonly core: EngineCore<BfdPacket>;
  now = 1_000_000;

  constructor(options?: BfdSessionOptions, path = PATH) {
    const random = new Xorshift32(7);
    const policy = { protocol: BFD, rules: RFC5880, ...LIMITS, requireDiscriminator: false, identity: undefined };
    this.core = new EngineCore(policy, 10, () => random.next(), this.counters);
    this.core.addSession(this.now, 1, path, 3784, TIMERS, OURS, options);
  }

  get session(): SessionCore<BfdPacket> {
    const known = this.core.session(1);
    if (known === undefined) throw new Error('the session was added');
    return known.session;
  }

  get stats(): EndpointStats {
    const [stats, ...others] = this.counters.stats().filter(({ localIP }) => localIP === PATH.localIP);
    if (stats === undefined || others.length > 0) throw new Error('one endpoint has sessions');
    return stats;
  }

  count(what: (stats: EndpointStats) => number): number {
    return this.counters.stats().reduce((sum, stats) => sum + what(stats), 0);
  }

  hear(state: State, changes: Partial<BfdPacketFields> = {}, path = PATH): void {
    const fields = { detectMult: 3, localDiscr: PEER, peerDiscr: OURS, desiredMinTxUs: 50_000, requiredMinRxUs: 50_000 };
    this.core.handleDatagram(this.now, this.now, path, new BfdPacket({ state, ...fields, ...changes }).marshal());
  }

  /** Runs for so many microseconds. Returns what is sent. */
  run(us: number): BfdPacket[] {
    const until = this.now + us;
    for (let due = this.core.deadline; due !== undefined && due <= until; due = this.core.deadline) {
      this.now = Math.max(this.now, due);
      this.core.handleTimeout(this.now, this.now);
    }
    this.now = until;
    return this.core.takeTransmits().map(({ bytes }) => BfdPacket.unmarshal(bytes));
  }

  comeUp(): void {
    this.hear('init');
    this.run(60_000);
    this.hear('up', { final: true });
  }
}

const elsewhere: Path = { ...PATH, localIP: '10.9.9.9' };
const stranger: Path = { ...PATH, peerIP: '10.0.0.3' };

describe('a packet of BFD', () => {
  it('that names a session belongs to it at any local address, but only from the peer (RFC 5880 §6.3)', () => {
    const bench = new Bench();
    bench.hear('init', {}, stranger);
    expect([bench.session.state, bench.count(({ unknownPeer }) => unknownPeer)]).toEqual(['down', 1]);
    bench.hear('down', { peerDiscr: 0 }, elsewhere);
    expect([bench.session.state, bench.count(({ unknownPeer }) => unknownPeer)]).toEqual(['down', 2]);
    bench.hear('init', {}, elsewhere);
    expect(bench.session.state).toBe('up');
  });

  it('that names no session is counted as foreign and dropped', () => {
    const bench = new Bench();
    bench.hear('down', { peerDiscr: OURS + 1 });
    expect(bench.session.state).toBe('down');
    expect([bench.stats.rxInvalid.foreign_discr, bench.count(({ unknownPeer }) => unknownPeer)]).toEqual([1, 0]);
  });

  it('that names a session which was removed is foreign', () => {
    const bench = new Bench();
    bench.core.removeSession(1);
    bench.hear('down');
    expect(bench.count(({ rxInvalid }) => rxInvalid.foreign_discr)).toBe(1);
  });

  it('for a multihop session has no interface, and another interface is another path', () => {
    const multihop = { ...PATH, iface: '' };
    const bench = new Bench(undefined, multihop);
    bench.hear('down', { peerDiscr: 0 });
    expect(bench.session.state).toBe('down');
    bench.hear('down', { peerDiscr: 0 }, multihop);
    expect(bench.session.state).toBe('init');
    expect(bench.core.pathBetween(PATH.localIP, PATH.peerIP), 'a single-hop packet belongs to no multihop session').toBeUndefined();
  });

  it('over IPv6 is found by its addresses', () => {
    const path = { iface: 'eth0', localIP: 'fe80::1', peerIP: 'fe80::2' };
    const bench = new Bench(undefined, path);
    bench.hear('down', { peerDiscr: 0 }, { ...path, peerIP: 'fe80::3' });
    expect(bench.session.state).toBe('down');
    bench.hear('down', { peerDiscr: 0 }, path);
    expect(bench.session.state).toBe('init');
  });

  it('with Poll is answered with one Final at once, which moves no periodic packet', () => {
    const bench = new Bench();
    bench.comeUp();
    bench.run(1_000);
    const due = bench.session.nextTx;
    bench.hear('up', { poll: true });
    const sent = bench.run(0);
    expect(sent).toMatchObject([{ final: true, poll: false, state: 'up', peerDiscr: PEER }]);
    expect(bench.session.nextTx).toBe(due);
  });
});

describe('a BFD session', () => {
  it('counts its diagnostics when it goes Down or AdminDown, and its records have them', () => {
    const bench = new Bench();
    expect([bench.stats.localDiagnostics, bench.stats.remoteDiagnostics]).toEqual([[], []]);
    bench.comeUp();
    bench.core.takeEvents();
    bench.hear('down', { diagnostic: 'detection_time_expired', peerDiscr: 0 });
    const down = bench.core.takeEvents().find((event) => event.kind === 'transition') as CoreTransition;
    expect(toRecord(down)).toMatchObject({ to: 'down', reason: 'remote_down', localDiag: 3, remoteDiag: 1 });
    bench.comeUp();
    bench.core.adminDown(bench.now, 1);
    bench.core.adminUp(bench.now, 1);
    bench.comeUp();
    bench.hear('admin_down', { diagnostic: 'unknown(12)' });
    // AdminDown, back to Down with the diagnostic of AdminDown, and the two Downs that the peer signalled.
    expect(bench.stats.localDiagnostics).toEqual([0, 0, 0, 2, 0, 0, 0, 2, 0]);
    expect(bench.stats.remoteDiagnostics, 'a reserved number is not counted').toEqual([2, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect(bench.session.specifics.remoteDiag).toBe(31);
  });

  it('shows its diagnostics, its Poll, its key and the timers of its peer', () => {
    const secret = Buffer.from('sesame');
    const bench = new Bench({ passive: false, auth: { type: 'sha1', keys: [{ id: 7, secret, variant: 'rfc' }] } });
    const read = () => readSession(bench.session, undefined);
    expect(read()).toMatchObject({ localDiag: 0, remoteDiag: 0, polling: false, authKeyId: 7, remoteDetectMult: undefined });
    expect(inspect(bench.core.session(1), { depth: 9, showHidden: true })).not.toMatch(/sesame|73 65 73|115, ?101/);
    bench.core.updateOptions(bench.now, 1, undefined);
    bench.hear('init', { detectMult: 5, diagnostic: 'path_down', desiredMinTxUs: 70_000, requiredMinRxUs: 80_000 });
    const remote = { remoteDiag: 5, remoteDetectMult: 5, remoteTxMinUs: 70_000, remoteRxMinUs: 80_000 };
    expect(read()).toMatchObject({ state: 'up', polling: true, authKeyId: undefined, detectTimeUs: 350_000, ...remote });
  });

  it('goes on as it was when it is given the options that it has', () => {
    const options: BfdSessionOptions = { passive: false, auth: undefined };
    const bench = new Bench(options);
    bench.comeUp();
    const before = readSession(bench.session, bench.core.deadline);
    bench.core.updateSession(bench.now, 1, TIMERS, 3784);
    bench.core.updateOptions(bench.now, 1, options);
    expect(readSession(bench.session, bench.core.deadline)).toEqual(before);
    expect(bench.core.takeEvents().filter(({ kind }) => kind === 'transition').length, 'none but those of coming Up').toBe(2);
  });

  it('that is passive leaves no deadline in the queue until it is heard', () => {
    const bench = new Bench({ passive: true, auth: undefined });
    expect([bench.core.queueLength, bench.run(10_000_000)]).toEqual([0, []]);
    bench.hear('down', { peerDiscr: 0 });
    expect(bench.run(1_000)).toMatchObject([{ state: 'init', peerDiscr: PEER, desiredMinTxUs: 1_000_000 }]);
    expect(bench.stats.queued).toBe(2);
  });
});
