/** The liveness protocol: 40-byte packets and the timers of the reference (`new Session` names the source). */
import { NO_VERSION } from './client-version.js';
import { jittered } from './jitter.js';
import { ControlPacket, PACKET_LENGTH, PROTOCOL_VERSION, receivable } from './packet.js';
import type { Protocol } from './protocol.js';
import { NOTHING_SPECIFIC } from './specifics.js';
import { receive } from './state-table.js';

/** The port that all peers listen on by default (reference name: `DefaultLivenessPort`). */
export const DEFAULT_LIVENESS_PORT = 44880;

export const LIVENESS: Protocol<ControlPacket> = Object.freeze<Protocol<ControlPacket>>({
  name: 'liveness',
  port: DEFAULT_LIVENESS_PORT,
  // The most there is: a peer can tell neighbours by it (RFC 5082).
  ttl: 255,
  // CS6, network control (RFC 5881 §4).
  tos: 0xc0,
  minTtl: undefined,
  hasSourcePorts: false,
  polls: false,
  // The reference clamps them to its own ceiling.
  followsSlowReceivers: false,
  measuresRoundTrip: true,
  specifics: () => NOTHING_SPECIFIC,
  decode: receivable,
  encode: (packet) => {
    // From Node's pool: a buffer of its own would cost more than writing the packet.
    const bytes = Buffer.allocUnsafe(PACKET_LENGTH);
    packet.marshalInto(bytes);
    return bytes;
  },
  packet: ({ state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs }, identity) =>
    new ControlPacket({
      version: PROTOCOL_VERSION,
      state,
      detectMult,
      localDiscr,
      peerDiscr,
      desiredMinTxUs,
      requiredMinRxUs,
      passive: identity?.passive ?? false,
      clientVersion: identity?.clientVersion ?? NO_VERSION,
    }),
  details: (packet) => packet,
  // The reference: a session is found by its path. A packet that names another session is that path's to drop.
  demultiplex: () => 0,
  receive,
  // The reference: our own multiplier. (RFC 5880 §6.8.4 has the peer's.)
  detectMult: ({ own }) => own,
  // The reference: the peer's multiplier decides. (RFC 5880 §6.8.7 has our own.)
  jitteredUs: (intervalUs, { peer }, random) => jittered(intervalUs, peer, random),
  // The reference: in Down the interval doubles with each packet. A backoff must not make it shorter than the agreed one.
  txIntervalUs: (_, agreedUs, doublings, backoffMaxUs) => Math.min(agreedUs * 2 ** doublings, Math.max(backoffMaxUs, agreedUs)),
  advertisedTxUs: (_, wantedUs) => wantedUs,
  // The reference: one detection time.
  announcementUs: (_, detectTimeUs) => detectTimeUs,
  // There is no Poll: by the longer of the two times the peer knows of the new timers, or is gone.
  previousTimersUs: (toldUs, detectTimeUs) => Math.max(toldUs, detectTimeUs),
});
