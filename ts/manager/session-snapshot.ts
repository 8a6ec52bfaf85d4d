/** What users see of a session and its routes. */
import type { Route } from '../base/route.js';
import type { EngineReading, Leg } from '../engine/engine.js';
import { type SessionStatus, statusWith } from '../protocol/session-status.js';
import type { RouteStatus } from '../routes/installer.js';
import type { ManagedSession, SessionRoute } from './managed-session.js';

/** A route of a session, with its state in the backend. */
export interface RouteSnapshot {
  readonly route: Readonly<Route>;
  /** The backend has confirmed the route and has not reported its loss. */
  readonly installed: boolean;
  /** What the route runs on: `none` while it is not installed. */
  readonly leg: Leg | 'none';
  readonly adminDown: boolean;
  /** The error of the last operation, if it failed. */
  readonly lastError: Error | undefined;
  /** When a contended route is put back: another program deletes it again and again. */
  readonly restoreAt: Date | undefined;
  /** When a route is installed that is not although its session is Up: `holdUp`, or `damping`. */
  readonly suppressedUntil: Date | undefined;
  /** Until when the route is not withdrawn on a Down (`hold`). */
  readonly heldUntil: Date | undefined;
}

/** The state of a session and its routes (reference name: `SessionSnapshot`). Times are `undefined` until they happened. */
export interface SessionSnapshot extends SessionStatus {
  /** The first route of the session; `undefined` if it has none and is registered by itself. */
  readonly route: Readonly<Route> | undefined;
  readonly routes: readonly RouteSnapshot[];
  /** The peer is several hops away (RFC 5883); only in BFD. */
  readonly multihop: boolean;
  /** Until when no route of the session is withdrawn on a Down (`hold`). */
  readonly heldUntil: Date | undefined;
}

/**
 * Joins the engine's reading of a session with the installer's status of its routes. `undefined` for a session that nothing
 * registered needs. There may be many thousands of sessions: a snapshot is one object, made once.
 *
 * @param offset from `wallOffset`, the same for all sessions of one call
 */
export function toSessionSnapshot(
  session: ManagedSession,
  reading: EngineReading,
  status: (route: SessionRoute) => RouteStatus,
  offset: number,
  heldUntil: Date | undefined,
): SessionSnapshot | undefined {
  const routes: RouteSnapshot[] = [];
  for (const route of session.routes) {
    if (!route.withdrawing) routes.push(toRouteSnapshot(route, status(route), heldUntil));
  }
  if (routes.length === 0 && !session.isRegistered && !session.isWatching) return undefined;
  return statusWith(session.peer, reading, offset, routes[0]?.route, routes, session.multihop, heldUntil);
}

function toRouteSnapshot(
  { route, adminDown }: SessionRoute,
  { installed, leg, lastError, restoreAt, suppressedUntil }: RouteStatus,
  heldUntil: Date | undefined,
): RouteSnapshot {
  return { route, installed, leg: installed ? leg : 'none', adminDown, lastError, restoreAt, suppressedUntil, heldUntil };
}
