/** What users see of a session. */
import type { EngineSnapshot } from '../engine/engine.js';
import type { RouteStatus } from '../routes/installer.js';
import { type BareSnapshot, snapshotWith } from '../protocol/session-status.js';
import type { RouteEntry } from './managed-route.js';
import type { Session } from './managed-session.js';
import type { Route } from '../base/route.js';

/** A route of a session, and what became of it in the backend. */
export interface RouteSnapshot {
  readonly route: Readonly<Route>;
  /** The backend has confirmed the route, and nothing is known to have taken it away since. */
  readonly installed: boolean;
  readonly adminDown: boolean;
  /** Why the last operation failed, until one succeeds. */
  readonly lastError: Error | undefined;
  /** Until when a route that others take away again and again is not put back. */
  readonly restoreAt: Date | undefined;
}

/** A session at one moment (reference name: `SessionSnapshot`). Times are `undefined` until they happened. */
export interface SessionSnapshot extends BareSnapshot {
  /** The first route of the session. */
  readonly route: Readonly<Route>;
  readonly routes: readonly RouteSnapshot[];
}

/**
 * Joins what the engine and the installer know of a session. There may be many thousands: each is one object, made once.
 *
 * @param offset as `wallOffset` gives it, the same for all sessions that are shown together
 */
export function toSnapshot(
  session: Session,
  seen: EngineSnapshot,
  status: (entry: RouteEntry) => RouteStatus,
  offset: number,
): SessionSnapshot | undefined {
  const routes: RouteSnapshot[] = [];
  for (const entry of session.routes) {
    if (!entry.leaving) routes.push(toRouteSnapshot(entry, status(entry)));
  }
  const [first] = routes;
  return first && snapshotWith(session.peer, seen, offset, first.route, routes);
}

function toRouteSnapshot({ route, adminDown }: RouteEntry, { installed, lastError, restoreAt }: RouteStatus): RouteSnapshot {
  return { route, installed, adminDown, lastError, restoreAt };
}
