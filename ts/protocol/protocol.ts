/** What one protocol is: everything in which BFD and its relatives differ, as far as sessions and engines have to know. */
import type { Random } from './jitter.js';
import type { ControlPacket, InvalidReason } from './packet.js';
import type { Rules } from './rules.js';
import type { Decision, PacketContext } from './state-table.js';
import type { State } from './state.js';

/** The detection multipliers of both sides of a session. */
export interface DetectMultipliers {
  readonly own: number;
  /** 0 before the first packet. */
  readonly peer: number;
}

/** `liveness.ts` is the first value; RFC 5880 BFD will be the second. */
export interface Protocol {
  readonly name: string;
  /** The UDP port on which peers listen by default. */
  readonly port: number;
  /** The TTL of sent packets. */
  readonly ttl: number;
  /** The TOS byte of sent packets. */
  readonly tos: number;
  /** The lowest TTL of received packets that is accepted by default; `undefined` accepts all. */
  readonly minTtl: number | undefined;
  /** The length of a packet in bytes. */
  readonly packetLength: number;
  /** The least transmit interval while the session is not Up, in microseconds; 0 for none. */
  readonly slowIntervalUs: number;
  /** Reads a received packet, or says why it has to be dropped. */
  decode(bytes: Uint8Array): ControlPacket | InvalidReason;
  /** Writes a packet into `packetLength` bytes. */
  encode(packet: ControlPacket, bytes: Uint8Array): void;
  /** The state table. */
  decide(state: State, received: State, context: PacketContext, rules: Rules): Decision;
  /** How long a silence means Down. `rxIntervalUs` is the interval that both sides agreed on for the peer's packets. */
  detectTimeUs(multipliers: DetectMultipliers, rxIntervalUs: number): number;
  /** The time to the next packet: the transmit interval with its jitter. */
  jitteredUs(intervalUs: number, multipliers: DetectMultipliers, random: Random): number;
}
