/**
 * BFD: the protocol of RFC 5880, in asynchronous mode, without Echo; single hop (RFC 5881) and multihop (RFC 5883). A multihop
 * session has no interface in its path, and its packets go to a port of their own.
 */
import { NO_VERSION } from '../client-version.js';
import { between } from '../jitter.js';
import type { Protocol, SenderDetails } from '../protocol.js';
import { BfdPacket, decodeBfd } from './packet.js';
import { DEFAULT_BFD_PORT } from './ports.js';
import { BfdSpecifics } from './specifics.js';
import { receiveBfd } from './state-table.js';

/** The shortest transmit interval while a session is not Up, in microseconds (RFC 5880 §6.8.3). */
const SLOW_US = 1_000_000;

/** A packet says nothing of its sender beyond the header. */
const NO_DETAILS: SenderDetails = Object.freeze({ passive: false, clientVersion: NO_VERSION });

export const BFD: Protocol<BfdPacket, BfdSpecifics> = Object.freeze<Protocol<BfdPacket, BfdSpecifics>>({
  name: 'bfd',
  port: DEFAULT_BFD_PORT,
  // RFC 5881 §5.
  ttl: 255,
  // CS6, network control.
  tos: 0xc0,
  // RFC 5881 §5: a packet that crossed a router is discarded.
  minTtl: 255,
  // RFC 5881 §4.
  hasSourcePorts: true,
  polls: true,
  // RFC 5880 §6.8.7.
  followsSlowReceivers: true,
  // A peer may answer with its next periodic packet, a second later.
  measuresRoundTrip: false,
  specifics: (options, localDiscr) => new BfdSpecifics(options, localDiscr),
  decode: decodeBfd,
  encode: (packet, specifics, now) => specifics.write(packet, now),
  // The D and C bits are never set; Echo is not supported.
  packet: ({ state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs }, _, specifics, isAnswer) =>
    new BfdPacket({
      state,
      diagnostic: specifics.localDiagnostic,
      // RFC 5880 §6.5: never both.
      poll: specifics.polling && !isAnswer,
      final: isAnswer,
      detectMult,
      localDiscr,
      peerDiscr,
      desiredMinTxUs,
      requiredMinRxUs,
    }),
  details: () => NO_DETAILS,
  // RFC 5880 §6.3.
  demultiplex: ({ peerDiscr }) => peerDiscr,
  receive: receiveBfd,
  // RFC 5880 §6.8.4: the peer's.
  detectMult: ({ peer }) => peer,
  // RFC 5880 §6.8.7: 75 to 100 %, and at most 90 % if our detection multiplier is 1.
  jitteredUs: (intervalUs, { own }, random) => {
    const mostUs = own === 1 ? intervalUs - Math.floor(intervalUs / 10) : intervalUs;
    return between(intervalUs - Math.floor(intervalUs / 4), mostUs, random);
  },
  // RFC 5880 §6.8.3.
  txIntervalUs: (state, agreedUs) => (state === 'up' ? agreedUs : Math.max(agreedUs, SLOW_US)),
  advertisedTxUs: (state, wantedUs) => (state === 'up' ? wantedUs : Math.max(wantedUs, SLOW_US)),
  // RFC 5880 §6.8.16: at least the detection time of the peer.
  announcementUs: (toldUs, detectTimeUs) => Math.max(toldUs, detectTimeUs),
  // RFC 5880 §6.8.3: until the Final.
  previousTimersUs: () => Infinity,
});
