/** What users see of a session. */
import { toDate } from './clock.js';
import type { EngineSnapshot } from './engine/engine.js';
import type { RouteStatus } from './installer/installer.js';
import { formatClientVersion } from './protocol/client-version.js';
import type { DownReason, State } from './protocol/state.js';
import type { RouteEntry, Session } from './registry.js';
import type { Peer, Route } from './route.js';

/** A route of a session, and what became of it in the backend. */
export interface RouteSnapshot {
  readonly route: Readonly<Route>;
  /** The backend has confirmed the route. */
  readonly installed: boolean;
  readonly adminDown: boolean;
  /** Why the last operation failed, until one succeeds. */
  readonly lastError: Error | undefined;
}

/** A session at one moment (reference name: `SessionSnapshot`). Times are `undefined` until they happened. */
export interface SessionSnapshot {
  readonly peer: Readonly<Peer>;
  /** The first route of the session. */
  readonly route: Readonly<Route>;
  readonly routes: readonly RouteSnapshot[];
  readonly state: State;
  /** Our discriminator, 1 to 4 294 967 295. */
  readonly localDiscr: number;
  /** The peer's, or 0 while it is not known. */
  readonly peerDiscr: number;
  /** The first valid packet of the Down that the session is in, or came Up from. */
  readonly convUpStart: Date | undefined;
  /** When the first packet was missing, or one said Down. */
  readonly convDownStart: Date | undefined;
  readonly upSince: Date | undefined;
  readonly downSince: Date | undefined;
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
  /** What the peer says of itself; a peer that says nothing is active. */
  readonly peerMode: 'active' | 'passive';
  /** The peer's version, if it says one. */
  readonly peerVersion: string | undefined;
}

/** Joins what the engine and the installer know of a session. */
export function toSnapshot(
  session: Session,
  seen: EngineSnapshot,
  status: (entry: RouteEntry) => RouteStatus,
): SessionSnapshot | undefined {
  const entries = [...session.routes].filter((entry) => !entry.leaving);
  const [first] = entries;
  if (first === undefined) return undefined;
  const date = (micros: number | undefined): Date | undefined => (micros === undefined ? undefined : toDate(micros));
  return {
    peer: session.peer,
    route: first.route,
    routes: entries.map((entry) => ({ route: entry.route, adminDown: entry.adminDown, ...status(entry) })),
    state: seen.state,
    localDiscr: seen.localDiscr,
    peerDiscr: seen.peerDiscr,
    convUpStart: date(seen.convUpStartUs),
    convDownStart: date(seen.convDownStartUs),
    upSince: date(seen.upSinceUs),
    downSince: date(seen.downSinceUs),
    lastDownReason: seen.lastDownReason,
    detectDeadline: date(seen.detectDeadlineUs),
    nextDetectScheduled: date(seen.nextDetectScheduledUs),
    lastUpdated: date(seen.lastUpdatedUs),
    detectTime: seen.detectTimeUs / 1_000,
    txInterval: seen.txIntervalUs / 1_000,
    peerMode: seen.peerPassive ? 'passive' : 'active',
    peerVersion: seen.peerVersion === undefined ? undefined : formatClientVersion(seen.peerVersion),
  };
}
