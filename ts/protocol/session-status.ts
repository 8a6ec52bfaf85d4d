/** The state of a session without its routes: as the core has it, and as users see it. */
import { toDate } from '../base/clock.js';
import type { Peer } from '../base/route.js';
import { diagnosticFromWire, type WireDiagnostic } from './bfd/diagnostic.js';
import { formatClientVersion, type VersionBytes } from './client-version.js';
import type { Header } from './protocol.js';
import type { SessionCore } from './session-core.js';
import type { DownReason, State } from './state.js';

/** The state of a session for users, without its routes. Times are `undefined` until they happened. */
export interface SessionStatus {
  readonly peer: Readonly<Peer>;
  readonly state: State;
  /** Our discriminator, 1 to 4 294 967 295. */
  readonly localDiscr: number;
  /** The peer's discriminator, or 0 if it is not known. */
  readonly peerDiscr: number;
  /** The first valid packet of the present Down, or of the Down before the present Up. */
  readonly convUpStart: Date | undefined;
  /** The first missing packet, or the packet that said Down. */
  readonly convDownStart: Date | undefined;
  /** When the session came Up; only in Up. */
  readonly upSince: Date | undefined;
  /** When the session went Down or AdminDown, or started; only in Down and AdminDown. */
  readonly downSince: Date | undefined;
  /** When the session last came Up, in any state. */
  readonly lastUp: Date | undefined;
  /** When the session last went Down or AdminDown, or started, in any state. */
  readonly lastDown: Date | undefined;
  readonly lastDownReason: DownReason;
  /** When silence takes the session Down; only in Init and Up. */
  readonly detectDeadline: Date | undefined;
  /** When the engine checks detection next. */
  readonly nextDetectScheduled: Date | undefined;
  /** The last transition. */
  readonly lastUpdated: Date | undefined;
  /** The silence that means Down, in milliseconds. */
  readonly detectTime: number;
  /** The session was Up at some time. */
  readonly everUp: boolean;
  /** How often the session left Up, 65 535 at most. */
  readonly flaps: number;
  /** The longest time between two packets since the session last came Up, in whole milliseconds, 65 535 at most; `undefined` before. */
  readonly worstGap: number | undefined;
  /** The transmit interval while the session is Init or Up, in milliseconds. */
  readonly txInterval: number;
  /** The mode of the peer, from the flag of its packets. `undefined` before the first packet. */
  readonly peerMode: 'active' | 'passive' | undefined;
  /** The peer's version, if its packets carry one. */
  readonly peerVersion: string | undefined;
  /** The peer's detection multiplier, from its last packet. `undefined` before the first. */
  readonly remoteDetectMult: number | undefined;
  /** The peer's desired transmit interval in milliseconds. `undefined` before the first packet. */
  readonly remoteTxMin: number | undefined;
  /** The peer's required receive interval in milliseconds; in BFD 0 asks for no periodic packets. `undefined` before the first packet. */
  readonly remoteRxMin: number | undefined;
  /** Only in BFD: the diagnostic that we send (RFC 5880 §4.1). */
  readonly localDiag: WireDiagnostic | undefined;
  /** Only in BFD: the diagnostic of the peer's last packet; `none` before the first. */
  readonly remoteDiag: WireDiagnostic | undefined;
  /** Only in BFD: a Poll Sequence of ours waits for its Final (RFC 5880 §6.5). */
  readonly polling: boolean | undefined;
  /** Only in BFD with authentication: the number of the key that signs. */
  readonly authKeyId: number | undefined;
}

/** The state of a session in whole microseconds of CLOCK_MONOTONIC, as an engine reads it. */
export interface SessionReading {
  readonly state: State;
  readonly localDiscr: number;
  /** 0 if it is not known. */
  readonly peerDiscr: number;
  readonly lastDownReason: DownReason;
  readonly convUpStartUs: number | undefined;
  readonly convDownStartUs: number | undefined;
  /** When the session last came Up, and when it last went Down or AdminDown or started, in any state. */
  readonly upSinceUs: number | undefined;
  readonly downSinceUs: number | undefined;
  readonly detectDeadlineUs: number | undefined;
  readonly nextDetectScheduledUs: number | undefined;
  readonly lastUpdatedUs: number | undefined;
  readonly detectTimeUs: number;
  readonly flaps: number;
  /** Since the session last came Up; `undefined` before. */
  readonly worstGapMs: number | undefined;
  readonly txIntervalUs: number;
  /** `undefined` before the first accepted packet. */
  readonly peerPassive: boolean | undefined;
  /** Bytes 21 to 24 of the last accepted packet; `undefined` before the first, and if all four are zero. */
  readonly peerVersion: VersionBytes | undefined;
  /** The peer's fields of the last accepted packet, `undefined` before the first. */
  readonly remoteDetectMult: number | undefined;
  readonly remoteTxMinUs: number | undefined;
  readonly remoteRxMinUs: number | undefined;
  /** The diagnostics sent and received (RFC 5880 §4.1); these and the following only in BFD. */
  readonly localDiag: number | undefined;
  readonly remoteDiag: number | undefined;
  /** A Poll Sequence is in progress. */
  readonly polling: boolean | undefined;
  /** The id of the key that signs. */
  readonly authKeyId: number | undefined;
}

export function readSession(session: SessionCore<Header>, nextDetectScheduledUs: number | undefined): SessionReading {
  const { timestamps, peer, specifics } = session;
  return {
    state: session.state,
    localDiscr: session.localDiscr,
    peerDiscr: peer.discr,
    lastDownReason: session.lastDownReason,
    convUpStartUs: timestamps.convUpStart,
    convDownStartUs: timestamps.convDownStart,
    upSinceUs: timestamps.upSince,
    downSinceUs: timestamps.downSince,
    detectDeadlineUs: session.detectDeadline,
    nextDetectScheduledUs,
    lastUpdatedUs: timestamps.lastUpdated,
    detectTimeUs: session.detectTimeUs,
    flaps: session.flaps,
    worstGapMs: timestamps.upSince === undefined ? undefined : session.worstGapMs,
    txIntervalUs: session.txIntervalUs,
    peerPassive: session.lastRx === undefined ? undefined : peer.passive,
    peerVersion: peer.version.some((byte) => byte !== 0) ? peer.version : undefined,
    remoteDetectMult: session.lastRx === undefined ? undefined : peer.detectMult,
    remoteTxMinUs: session.lastRx === undefined ? undefined : peer.txMinUs,
    remoteRxMinUs: session.lastRx === undefined ? undefined : peer.rxMinUs,
    localDiag: specifics.localDiag,
    remoteDiag: specifics.remoteDiag,
    polling: specifics.polling,
    authKeyId: specifics.authKeyId,
  };
}

/**
 * Converts a reading to the user's units, and adds the routes. One object literal makes the result: there may be many thousands,
 * and adding fields later costs as much again. A `Date` is the largest part, so fields with the same time share one.
 *
 * @param offset of `wallOffset`, one for all times of a call
 */
export function statusWith<Route, Routes>(
  peer: Readonly<Peer>,
  reading: SessionReading,
  offset: number,
  route: Route,
  routes: Routes,
  multihop: boolean,
  heldUntil: Date | undefined,
): SessionStatus & { readonly route: Route; readonly routes: Routes; readonly multihop: boolean; readonly heldUntil: Date | undefined } {
  const { remoteTxMinUs, remoteRxMinUs } = reading;
  const date = (micros: number | undefined): Date | undefined => (micros === undefined ? undefined : toDate(micros, offset));
  const lastUp = date(reading.upSinceUs);
  const lastDown = date(reading.downSinceUs);
  return {
    peer,
    state: reading.state,
    localDiscr: reading.localDiscr,
    peerDiscr: reading.peerDiscr,
    convUpStart: date(reading.convUpStartUs),
    convDownStart: date(reading.convDownStartUs),
    upSince: reading.state === 'up' ? lastUp : undefined,
    downSince: reading.state === 'down' || reading.state === 'admin_down' ? lastDown : undefined,
    lastUp,
    lastDown,
    lastDownReason: reading.lastDownReason,
    detectDeadline: date(reading.detectDeadlineUs),
    nextDetectScheduled: date(reading.nextDetectScheduledUs),
    lastUpdated: date(reading.lastUpdatedUs),
    detectTime: reading.detectTimeUs / 1_000,
    everUp: reading.upSinceUs !== undefined,
    flaps: reading.flaps,
    worstGap: reading.worstGapMs,
    txInterval: reading.txIntervalUs / 1_000,
    peerMode: modeOf(reading.peerPassive),
    peerVersion: versionOf(reading),
    remoteDetectMult: reading.remoteDetectMult,
    remoteTxMin: remoteTxMinUs === undefined ? undefined : remoteTxMinUs / 1_000,
    remoteRxMin: remoteRxMinUs === undefined ? undefined : remoteRxMinUs / 1_000,
    localDiag: diagnosticName(reading.localDiag),
    remoteDiag: diagnosticName(reading.remoteDiag),
    polling: reading.polling,
    authKeyId: reading.authKeyId,
    multihop,
    heldUntil,
    route,
    routes,
  };
}

function diagnosticName(wire: number | undefined): WireDiagnostic | undefined {
  return wire === undefined ? undefined : diagnosticFromWire(wire);
}

export function modeOf(passive: boolean | undefined): SessionStatus['peerMode'] {
  if (passive === undefined) return undefined;
  return passive ? 'passive' : 'active';
}

export function versionOf({ peerVersion }: SessionReading): string | undefined {
  return peerVersion === undefined ? undefined : formatClientVersion(peerVersion);
}
