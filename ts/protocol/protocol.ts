/** What one protocol is: everything in which BFD and its relatives differ, as far as sessions and engines have to know. */
import type { BfdSessionOptions } from './bfd/options.js';
import type { VersionBytes } from './client-version.js';
import type { Random } from './jitter.js';
import type { InvalidReason } from './packet.js';
import type { Rules } from './rules.js';
import type { Specifics } from './specifics.js';
import type { State } from './state.js';
import type { Situation, Verdict } from './transition.js';

/** What the packets of all protocols have: the first 20 bytes are RFC 5880's (§4.1). */
export interface Header {
  /** The sender's state. */
  readonly state: State;
  /** The sender's detection multiplier. */
  readonly detectMult: number;
  /** The sender's discriminator. */
  readonly localDiscr: number;
  /** The discriminator that the sender last learned from the receiver, or 0. */
  readonly peerDiscr: number;
  /** How often the sender wants to send, in microseconds. */
  readonly desiredMinTxUs: number;
  /** How often the sender wants to receive at most, in microseconds. */
  readonly requiredMinRxUs: number;
}

/** What a sender says of itself beyond the header: that it only observes, and its version. */
export interface SenderDetails {
  readonly passive: boolean;
  readonly clientVersion: VersionBytes;
}

/** The detection multipliers of both sides of a session. */
export interface DetectMultipliers {
  readonly own: number;
  /** 0 before the first packet. */
  readonly peer: number;
}

/** `liveness.ts` is the first value, `bfd/bfd.ts` the second. `P` is a decoded packet, `S` what is specific to a session. */
export interface Protocol<P extends Header, S extends Specifics<P> = Specifics<P>> {
  readonly name: string;
  /** The UDP port on which peers listen by default. */
  readonly port: number;
  /** The TTL of sent packets. */
  readonly ttl: number;
  /** The TOS byte of sent packets. */
  readonly tos: number;
  /** The lowest TTL of received packets that is accepted by default; `undefined` accepts all. */
  readonly minTtl: number | undefined;
  /** Each session sends from a port of its own, 49152 to 65535; otherwise all send from the port that they listen on. */
  readonly hasSourcePorts: boolean;
  /** New timers are agreed by a Poll (RFC 5880 §6.5): the previous ones end with it, and not later than the session is Down. */
  readonly polls: boolean;
  /** A peer may ask for an interval that is longer than our longest, and gets it. */
  readonly followsSlowReceivers: boolean;
  /** A peer answers a change of state at once, so that the handshake measures the round trip. */
  readonly measuresRoundTrip: boolean;
  /** The part of a new session, which is Down, that is specific to the protocol. */
  specifics(options: BfdSessionOptions | undefined, localDiscr: number): S;
  /** Reads a received packet, or says why it has to be dropped. */
  decode(bytes: Uint8Array): P | InvalidReason;
  /** Writes a packet that a session sends at `now`. */
  encode(packet: P, specifics: S, now: number): Uint8Array;
  /** A packet of these fields. `isAnswer`: the packet answers one of the peer's, such as a Poll. */
  packet(header: Header, identity: SenderDetails | undefined, specifics: S, isAnswer: boolean): P;
  /** What the packet says of its sender beyond the header. */
  details(packet: P): SenderDetails;
  /** The discriminator by which the session of a packet is found; 0 if it is found by its path. */
  demultiplex(header: Header): number;
  /** The state table: what a session does with a packet. */
  receive(rules: Rules, situation: Situation): Verdict;
  /** The detection multiplier that counts. */
  detectMult(multipliers: DetectMultipliers): number;
  /** The time to the next packet: the transmit interval with its jitter. */
  jitteredUs(intervalUs: number, multipliers: DetectMultipliers, random: Random): number;
  /**
   * The transmit interval in a state, in microseconds: slower than agreed while the session is not Up. `doublings` is how many
   * packets were sent in this Down, 0 in other states.
   */
  txIntervalUs(state: State, agreedUs: number, doublings: number, backoffMaxUs: number): number;
  /** The Desired Min TX Interval in packets of a state, if `wantedUs` is configured. */
  advertisedTxUs(state: State, wantedUs: number): number;
  /** How long AdminDown is announced, in microseconds: the peer waits for us for `toldUs`, and we wait for it for `detectTimeUs`. */
  announcementUs(toldUs: number, detectTimeUs: number): number;
  /** How long previous timers count after a change of ours, in microseconds; the parameters are those of `announcementUs`. */
  previousTimersUs(toldUs: number, detectTimeUs: number): number;
}
