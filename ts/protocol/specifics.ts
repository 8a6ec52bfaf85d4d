/** What a session of one protocol keeps and does beyond what the sessions of all protocols keep and do. */
import type { BfdSessionOptions } from './bfd/options.js';
import type { InvalidReason } from './packet.js';
import type { DownReason, State } from './state.js';

/** What a session may send: packets at its interval and announcements, announcements only, or nothing. */
export type Sending = 'periodic' | 'announcements' | 'nothing';

/** The part of a session that belongs to its protocol. `P` is the protocol's packet. */
export interface Specifics<P> {
  /** The number of the diagnostic that is sent (bfd.LocalDiag, RFC 5880 §6.8.1); `undefined` in a protocol without diagnostics. */
  readonly localDiag: number | undefined;
  /** The number of the last diagnostic received. */
  readonly remoteDiag: number | undefined;
  /** Whether a Poll Sequence is in progress. */
  readonly polling: boolean | undefined;
  /** The id of the key that signs. */
  readonly authKeyId: number | undefined;
  /** Takes other options while the session goes on. */
  setOptions(options: BfdSessionOptions | undefined): void;
  /** Why a packet that arrived at `arrival` is not authentic, if it is not. `detectTimeUs` is the session's detection time. */
  authenticate(packet: P, arrival: number, detectTimeUs: number): InvalidReason | undefined;
  /** Applies an accepted packet. Returns whether it ends a Poll, since the peer then knows our timers. */
  apply(packet: P): boolean;
  /** Whether the peer waits for an answer that leaves at once; each answer is taken once. */
  takeAnswer(): boolean;
  /** The session has changed its state. */
  entered(to: State, reason: DownReason): void;
  /** Our intervals have changed. */
  intervalsChanged(state: State): void;
  /** What the session may send. `knowsPeer` says that the peer's discriminator is known. */
  sending(state: State, knowsPeer: boolean): Sending;
}

/** The part of a session of a protocol without specifics. */
export const NOTHING_SPECIFIC: Specifics<unknown> = Object.freeze<Specifics<unknown>>({
  localDiag: undefined,
  remoteDiag: undefined,
  polling: undefined,
  authKeyId: undefined,
  setOptions: () => undefined,
  authenticate: () => undefined,
  apply: () => false,
  takeAnswer: () => false,
  entered: () => undefined,
  intervalsChanged: () => undefined,
  sending: () => 'periodic',
});
