/** What users see of a session by itself. */
import { toDate } from '../base/clock.js';
import type { Peer } from '../base/route.js';
import { formatClientVersion, type VersionBytes } from './client-version.js';
import type { SessionCore } from './session-core.js';
import type { DownReason, State } from './state.js';

/** A session at one moment, without its routes. Times are `undefined` until they happened. */
export interface SessionStatus {
  readonly peer: Readonly<Peer>;
  readonly state: State;
  /** Our discriminator, 1 to 4 294 967 295. */
  readonly localDiscr: number;
  /** The peer's, or 0 while it is not known. */
  readonly peerDiscr: number;
  /** The first valid packet of the Down that the session is in, or came Up from. */
  readonly convUpStart: Date | undefined;
  /** When the first packet was missing, or one said Down. */
  readonly convDownStart: Date | undefined;
  /** When it came Up; only in Up. */
  readonly upSince: Date | undefined;
  /** When it went Down or AdminDown, or began; only in Down and AdminDown. */
  readonly downSince: Date | undefined;
  /** When it came Up last, whatever it is now. */
  readonly lastUp: Date | undefined;
  /** When it went Down or AdminDown last, or began, whatever it is now. */
  readonly lastDown: Date | undefined;
  readonly lastDownReason: DownReason;
  /** When silence makes the session Down; only in Init and Up. */
  readonly detectDeadline: Date | undefined;
  /** When the engine next looks at that. */
  readonly nextDetectScheduled: Date | undefined;
  /** The last change of state. */
  readonly lastUpdated: Date | undefined;
  /** So much silence means Down, in milliseconds. */
  readonly detectTime: number;
  /** How often we send while in service, in milliseconds. */
  readonly txInterval: number;
  /** What the peer says of itself; a peer that says nothing is active. `undefined` before its first packet. */
  readonly peerMode: 'active' | 'passive' | undefined;
  /** The peer's version, if it says one. */
  readonly peerVersion: string | undefined;
}

/** A session at one moment, in whole microseconds of CLOCK_MONOTONIC: what an engine has to say of it. */
export interface SessionReading {
  readonly state: State;
  readonly localDiscr: number;
  /** 0 where the peer's discriminator is not known. */
  readonly peerDiscr: number;
  readonly lastDownReason: DownReason;
  readonly convUpStartUs: number | undefined;
  readonly convDownStartUs: number | undefined;
  /** The last time that it came Up, and that it left service or began: whatever the state is now. */
  readonly upSinceUs: number | undefined;
  readonly downSinceUs: number | undefined;
  readonly detectDeadlineUs: number | undefined;
  readonly nextDetectScheduledUs: number | undefined;
  readonly lastUpdatedUs: number | undefined;
  readonly detectTimeUs: number;
  readonly txIntervalUs: number;
  /** `undefined` before the first accepted packet. */
  readonly peerPassive: boolean | undefined;
  /** Bytes 21 to 24 of the last accepted packet, `undefined` before one and where all four are zero. */
  readonly peerVersion: VersionBytes | undefined;
}

export function readSession(session: SessionCore, nextDetectScheduledUs: number | undefined): SessionReading {
  const { timestamps, peer } = session;
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
    txIntervalUs: session.txIntervalUs,
    peerPassive: session.lastRx === undefined ? undefined : peer.passive,
    peerVersion: peer.version.some((byte) => byte !== 0) ? peer.version : undefined,
  };
}

/**
 * A session and its routes, in the user's units. One literal makes it: there may be many thousands, and fields that are added
 * later, by a spread or one by one, cost as much again. A `Date` is the largest part: two fields of one time share it.
 *
 * @param offset one reading for all: times of one snapshot stay as far apart as they were
 */
export function statusWith<Route, Routes>(
  peer: Readonly<Peer>,
  seen: SessionReading,
  offset: number,
  route: Route,
  routes: Routes,
): SessionStatus & { readonly route: Route; readonly routes: Routes } {
  const date = (micros: number | undefined): Date | undefined => (micros === undefined ? undefined : toDate(micros, offset));
  const lastUp = date(seen.upSinceUs);
  const lastDown = date(seen.downSinceUs);
  return {
    peer,
    state: seen.state,
    localDiscr: seen.localDiscr,
    peerDiscr: seen.peerDiscr,
    convUpStart: date(seen.convUpStartUs),
    convDownStart: date(seen.convDownStartUs),
    upSince: seen.state === 'up' ? lastUp : undefined,
    downSince: seen.state === 'down' || seen.state === 'admin_down' ? lastDown : undefined,
    lastUp,
    lastDown,
    lastDownReason: seen.lastDownReason,
    detectDeadline: date(seen.detectDeadlineUs),
    nextDetectScheduled: date(seen.nextDetectScheduledUs),
    lastUpdated: date(seen.lastUpdatedUs),
    detectTime: seen.detectTimeUs / 1_000,
    txInterval: seen.txIntervalUs / 1_000,
    peerMode: modeOf(seen.peerPassive),
    peerVersion: versionOf(seen),
    route,
    routes,
  };
}

export function modeOf(passive: boolean | undefined): SessionStatus['peerMode'] {
  if (passive === undefined) return undefined;
  return passive ? 'passive' : 'active';
}

export function versionOf({ peerVersion }: SessionReading): string | undefined {
  return peerVersion === undefined ? undefined : formatClientVersion(peerVersion);
}
