/** The liveness protocol: 40-byte packets and the timers of the reference (`new Session` names the source). */
import { jittered } from './jitter.js';
import { PACKET_LENGTH, receivable } from './packet.js';
import type { Protocol } from './protocol.js';
import { decide } from './state-table.js';

/** The port that all peers listen on by default (reference name: `DefaultLivenessPort`). */
export const DEFAULT_LIVENESS_PORT = 44880;

export const LIVENESS: Protocol = Object.freeze<Protocol>({
  name: 'liveness',
  port: DEFAULT_LIVENESS_PORT,
  // The most there is: a peer can tell neighbours by it (RFC 5082).
  ttl: 255,
  // CS6, network control (RFC 5881 §4).
  tos: 0xc0,
  minTtl: undefined,
  packetLength: PACKET_LENGTH,
  // Backoff slows the packets of a session in Down.
  slowIntervalUs: 0,
  decode: receivable,
  encode: (packet, bytes) => packet.marshalInto(bytes),
  decide,
  // The reference: our own multiplier. (RFC 5880 §6.8.4 has the peer's.)
  detectTimeUs: ({ own }, rxIntervalUs) => own * rxIntervalUs,
  // The reference: the peer's multiplier decides. (RFC 5880 §6.8.7 has our own.)
  jitteredUs: (intervalUs, { peer }, random) => jittered(intervalUs, peer, random),
});
