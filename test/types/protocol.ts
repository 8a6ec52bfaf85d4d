/** The types of `route-liveness/protocol`, name by name. Compiled by `npm run lint`, never run. */
import type { Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';

import { expectTypeOf } from 'vitest';

import * as api from '../../ts/protocol.js';

declare const socket: Socket;
declare const udp: api.UDPService;
declare const peer: api.Peer;
declare const session: api.Session;

const FIELDS = {
  version: 1,
  state: 'up',
  detectMult: 3,
  localDiscr: 1,
  peerDiscr: 2,
  desiredMinTxUs: 300_000,
  requiredMinRxUs: 300_000,
} as const;

export function packets(): void {
  const packet = new api.ControlPacket(FIELDS);
  expectTypeOf<api.ControlPacketFields>().toEqualTypeOf<{
    version: number;
    state: api.State;
    detectMult: number;
    localDiscr: number;
    peerDiscr: number;
    desiredMinTxUs: number;
    requiredMinRxUs: number;
    passive?: boolean;
    clientVersion?: api.VersionBytes;
  }>();
  expectTypeOf(packet.length).toEqualTypeOf<number>();
  expectTypeOf(packet.state).toEqualTypeOf<api.State>();
  expectTypeOf(packet.marshal()).toExtend<Uint8Array>();
  expectTypeOf<(typeof api.ControlPacket)['unmarshal']>().parameters.toEqualTypeOf<[Uint8Array]>();
  expectTypeOf(api.ControlPacket.unmarshal(Buffer.alloc(40))).toEqualTypeOf<api.ControlPacket>();
  expectTypeOf(api.parseClientVersion).toEqualTypeOf<(text: string) => api.VersionBytes | undefined>();
  expectTypeOf(api.formatClientVersion).toEqualTypeOf<(version: api.VersionBytes) => string>();
  // @ts-expect-error: a packet says its state.
  new api.ControlPacket({ ...FIELDS, state: undefined });
  // @ts-expect-error: a version has four bytes.
  new api.ControlPacket({ ...FIELDS, clientVersion: [1, 2, 3] });
  // @ts-expect-error: a packet does not change.
  packet.state = 'down';
  // @ts-expect-error: bytes are a Uint8Array.
  api.ControlPacket.unmarshal('20c00328');
}

export function bfdPackets(): void {
  const fields = { state: 'up', detectMult: 3, localDiscr: 1, peerDiscr: 2, desiredMinTxUs: 50_000, requiredMinRxUs: 50_000 } as const;
  const packet = new api.BfdPacket(fields);
  new api.BfdPacket({ ...fields, diagnostic: api.Diagnostic.PathDown, poll: true, authentication: new Uint8Array(9) });
  expectTypeOf(packet.version).toEqualTypeOf<number>();
  expectTypeOf(packet.length).toEqualTypeOf<number>();
  expectTypeOf(packet.state).toEqualTypeOf<api.State>();
  expectTypeOf(packet.diagnostic).toEqualTypeOf<api.WireDiagnostic>();
  expectTypeOf(packet.authentication).toEqualTypeOf<Uint8Array | undefined>();
  expectTypeOf(packet.marshal()).toExtend<Uint8Array>();
  expectTypeOf(packet.with({ poll: true })).toEqualTypeOf<api.BfdPacket>();
  expectTypeOf<(typeof api.BfdPacket)['unmarshal']>().toEqualTypeOf<(bytes: Uint8Array) => api.BfdPacket>();
  expectTypeOf(api.diagnosticFromWire).toEqualTypeOf<(wire: number) => api.WireDiagnostic>();
  expectTypeOf(api.diagnosticToWire).toEqualTypeOf<(diagnostic: api.WireDiagnostic) => number>();
  expectTypeOf(api.RFC5880).toEqualTypeOf<api.Rules>();
  expectTypeOf([api.DEFAULT_BFD_PORT, api.DEFAULT_BFD_MULTIHOP_PORT]).toEqualTypeOf<number[]>();
  // @ts-expect-error: a packet does not change.
  packet.poll = false;
  // @ts-expect-error: the version is always 1.
  new api.BfdPacket({ ...fields, version: 1 });
}

export function sessions(): void {
  new api.Session({ peer, txMin: 300, rxMin: 300, detectMult: 3 });
  new api.Session({ peer, txMin: 300, rxMin: 300, detectMult: 3, rules: api.ROBUST, localDiscr: 7, port: 1, backoffMax: 1_000 });
  expectTypeOf(api.REFERENCE).toEqualTypeOf<api.Rules>();
  expectTypeOf(api.ROBUST).toEqualTypeOf<api.Rules>();
  expectTypeOf(session.getState()).toEqualTypeOf<api.State>();
  expectTypeOf<api.Session['handleRx']>().toEqualTypeOf<(now: number, packet: api.ControlPacket) => boolean>();
  expectTypeOf<api.Session['armDetect']>().toEqualTypeOf<(now: number) => number | undefined>();
  expectTypeOf<api.Session['expireIfDue']>().toEqualTypeOf<(now: number) => boolean>();
  expectTypeOf<api.Session['computeNextTx']>().toEqualTypeOf<(now: number, random?: () => number) => number>();
  expectTypeOf(session.snapshot().detectDeadline).toEqualTypeOf<Date | undefined>();
  expectTypeOf(session.snapshot().lastDownReason).toEqualTypeOf<api.DownReason>();
  expectTypeOf(session.snapshot().route).toEqualTypeOf<Readonly<api.Route> | undefined>();
  // @ts-expect-error: a session has a peer.
  new api.Session({ txMin: 300, rxMin: 300, detectMult: 3 });
  // @ts-expect-error: rules are a value, not a name.
  new api.Session({ peer, txMin: 300, rxMin: 300, detectMult: 3, rules: 'robust' });
  // @ts-expect-error: times are milliseconds of the monotonic clock.
  session.expireIfDue(new Date());
}

export function queues(): void {
  const queue = new api.EventQueue();
  expectTypeOf<api.EventQueue['push']>().parameters.toEqualTypeOf<[api.QueuedEvent]>();
  expectTypeOf<api.QueuedEvent>().toEqualTypeOf<{ readonly at: number; readonly kind: 'tx' | 'detect'; readonly session: api.Session }>();
  expectTypeOf(queue.pop()).toEqualTypeOf<api.QueuedEvent | undefined>();
  const popped = queue.popIfDue(0);
  if (popped.event === undefined) expectTypeOf(popped.wait).toEqualTypeOf<number | undefined>();
  else expectTypeOf(popped.event).toEqualTypeOf<api.QueuedEvent>();
  expectTypeOf<api.EventQueue['countFor']>().toEqualTypeOf<(iface: string, localIP: string) => number>();
  expectTypeOf(queue.length).toEqualTypeOf<number>();
  // @ts-expect-error: there are two kinds of events.
  queue.push({ at: 1, kind: 'rx', session });
}

export async function transports(): Promise<void> {
  expectTypeOf(api.listenUDP).toEqualTypeOf<(bindIP: string, port: number) => Promise<api.UDPService>>();
  expectTypeOf(api.newUDPService(socket)).toEqualTypeOf<api.UDPService>();
  const { data, remote, localIP, iface, arrival } = await udp.readFrom();
  expectTypeOf(data).toEqualTypeOf<Uint8Array>();
  expectTypeOf(remote).toEqualTypeOf<{ readonly address: string; readonly port: number }>();
  expectTypeOf([localIP, iface]).toEqualTypeOf<string[]>();
  expectTypeOf(arrival).toEqualTypeOf<number>();
  expectTypeOf<api.UDPService['writeTo']>().parameters.toEqualTypeOf<
    [Uint8Array, api.Destination, (string | undefined)?, (string | undefined)?]
  >();
  expectTypeOf(udp.writeTo(data, remote, iface, localIP)).toEqualTypeOf<Promise<number>>();
  expectTypeOf<api.UDPService['setReadDeadline']>().parameters.toEqualTypeOf<[number | undefined]>();
  expectTypeOf(udp.localAddr()).toEqualTypeOf<AddressInfo | undefined>();
  expectTypeOf(udp.close()).toEqualTypeOf<void | Promise<void>>();
  // @ts-expect-error: a destination has a port.
  await udp.writeTo(data, { address: '10.0.0.2' });
  // @ts-expect-error: a transport is over a socket of node:dgram.
  api.newUDPService('127.0.0.1:44880');
}

export async function loops(): Promise<void> {
  const receiver = new api.Receiver({
    udp,
    handleRx: (packet, from, arrival) => {
      expectTypeOf(packet).toEqualTypeOf<api.ControlPacket>();
      expectTypeOf(from).toEqualTypeOf<api.Peer>();
      expectTypeOf(arrival).toEqualTypeOf<number>();
    },
  });
  expectTypeOf<api.HandleRx>().toEqualTypeOf<(packet: api.ControlPacket, peer: api.Peer, arrival: number) => void>();
  expectTypeOf(receiver.run({ signal: AbortSignal.timeout(1) })).toEqualTypeOf<Promise<void>>();
  expectTypeOf(receiver.stats()).toEqualTypeOf<api.ReceiverStats>();
  expectTypeOf<api.SessionDown>().toEqualTypeOf<(session: api.Session) => void>();
  const scheduler = new api.Scheduler({ udp, onSessionDown: (down) => expectTypeOf(down).toEqualTypeOf<api.Session>() });
  expectTypeOf<keyof api.SchedulerOptions>().toEqualTypeOf<
    'logger' | 'udp' | 'onSessionDown' | 'maxEvents' | 'enablePeerMetrics' | 'metrics'
  >();
  expectTypeOf<api.Scheduler['add']>().toEqualTypeOf<(session: api.Session) => void>();
  expectTypeOf<api.Scheduler['remove']>().toEqualTypeOf<(session: api.Session) => void>();
  expectTypeOf<api.Scheduler['handled']>().toEqualTypeOf<(session: api.Session, changed: boolean, now: number) => void>();
  expectTypeOf(scheduler.stats()).toEqualTypeOf<api.SchedulerStats>();
  await scheduler.run();
  // @ts-expect-error: a scheduler tells somebody.
  new api.Scheduler({ udp });
  // @ts-expect-error: a receiver hands on to somebody.
  new api.Receiver({ udp });
}
