/** The interface of an installer, which brings routes to their desired state: by calling a backend, or by arming the engine. */
import type { PackedAddress } from '../base/address.js';
import type { Damping, KernelRoute, Leg, RouteId, EndpointRouteStats, SessionId } from '../engine/engine.js';
import { formatRoute, type Route } from '../base/route.js';

/** The fields of a session that decide about its routes. */
export interface SessionView {
  readonly id: SessionId;
  readonly up: boolean;
  readonly peerPassive: boolean;
  /** The session is not Up since its peer said AdminDown. Only of sessions whose routes a called backend has. */
  readonly isPeerAdminDown: boolean;
  /** Installed routes stay while the peer is AdminDown (RFC 5882 §3.2). */
  readonly keepsOnPeerAdminDown: boolean;
  /** See `ArmedRoute`, also for `damping`. */
  readonly holdUpMs: number;
  readonly damping: Damping | undefined;
  /** How often it went Down from Up. Only of sessions whose routes a called backend has. */
  readonly downs: number;
  /** The last transition to Up or from Up: when its cause began and when it happened, in microseconds of CLOCK_MONOTONIC. */
  readonly lastTransition: { readonly startUs: number; readonly atUs: number } | undefined;
}

export type { Leg };

/** Where a route runs while its session is not Up. */
export interface RegisteredBackup {
  readonly iface: string;
  readonly nextHop: PackedAddress;
  /** The session that watches it; without one it counts as working. */
  readonly session: SessionView | undefined;
}

/** A registered route. The installer reads it; only the manager changes it. */
export interface RegisteredRoute extends KernelRoute {
  readonly id: RouteId;
  readonly iface: string;
  /** The route as the user knows it. */
  readonly route: Readonly<Route>;
  readonly noUninstall: boolean;
  readonly adminDown: boolean;
  readonly session: SessionView;
  readonly backup?: RegisteredBackup | undefined;
}

/** An operation on the backend that has ended: with success, or with an error. */
export type RouteOperation = EndedOperation &
  ({ readonly ok: true; readonly error?: undefined } | { readonly ok: false; readonly error: Error });

/** What an operation was, without its result. */
export interface EndedOperation {
  readonly route: Readonly<Route>;
  readonly iface: string;
  readonly op: 'add' | 'delete';
  /** What the route runs on, or was to run on, by this operation; of a deletion, what it ran on. `primary` without a backup. */
  readonly leg: Leg;
  /** From the request to the backend's answer, in milliseconds. */
  readonly duration: number;
}

export function toOperation(ended: EndedOperation, error: Error | undefined): RouteOperation {
  return error === undefined ? { ...ended, ok: true } : { ...ended, ok: false, error };
}

/** The state of a route in the backend. */
export interface RouteStatus {
  /** The backend has confirmed the route and has not reported its loss. */
  readonly installed: boolean;
  /** What the route runs on, or is to run on. */
  readonly leg: Leg;
  /** The error of the last operation; `undefined` after a success. */
  readonly lastError: Error | undefined;
  /** When a contended route is put back: another program deletes it again and again. */
  readonly restoreAt: Date | undefined;
  /** When the route is installed, which it is not although its session is Up: `holdUp`, or `damping`. */
  readonly suppressedUntil: Date | undefined;
}

/** The status of an unknown route. */
export const UNKNOWN: RouteStatus = Object.freeze({
  installed: false,
  leg: 'primary',
  lastError: undefined,
  restoreAt: undefined,
  suppressedUntil: undefined,
});

/** How long an adopted or replaced route stays while its session is not Up, in milliseconds: as long as Init may last. */
export const HOLD_MS = 3_300;

export interface RouteInstaller {
  /** Starts managing the routes. Cancels a pending removal; a slot may get another route. */
  add(registered: readonly RegisteredRoute[]): void;
  /** To be called when a route, its admin state or its session has changed. */
  changed(registered: RegisteredRoute): void;
  /** Resolves when the route is installed; rejects with the first failure, while retries go on, and with `ERR_CLOSED`. */
  confirmed(registered: RegisteredRoute): Promise<void>;
  /**
   * Stops managing a route. An installed route is deleted, unless it has `noUninstall`. Resolves when the backend has
   * confirmed, or when the route is added again; rejects with `ERR_CLOSED`.
   */
  remove(registered: RegisteredRoute): Promise<void>;
  /** As `remove`, without a result: the slot may be registered again at once. */
  abandon(registered: RegisteredRoute): void;
  /**
   * Adopts a route of a previous process, which was listed on this leg. Resolves with whether the route exists; then it stays while
   * its session comes Up. Rejects with `ERR_CLOSED`.
   */
  adopt(registered: RegisteredRoute, leg: Leg): Promise<boolean>;
  /** The slot may have been changed through the same backend by another caller: the state of the route is unknown. */
  disturbed(registered: RegisteredRoute): void;
  status(registered: RegisteredRoute): RouteStatus;
  /** The maintenance of these sessions, or of all, begins or ends: see `RouteArming.setMaintenance`. */
  setMaintenance(sessions: readonly SessionId[] | undefined, active: boolean): void;
  /** The routes whose last operation failed, and that wait for a retry. */
  retrying(): Iterable<RegisteredRoute>;
  /** The routes that are not installed although their sessions are Up: see `RouteStatus.suppressedUntil`. */
  suppressed(): Iterable<RegisteredRoute>;
  /** The routes that are installed on their backups. */
  onBackup(): Iterable<RegisteredRoute>;
  /** Counters of called backends; the engine counts armed routes. */
  stats(): EndpointRouteStats[];
  /** Stops; routes stay as they are. Pending promises reject with `ERR_CLOSED`. */
  close(): void;
}

/** Receives the ended operations. */
export type OperationListener = (operation: RouteOperation) => void;

/** Is told that a route is suppressed, and until when. */
export type SuppressionListener = (registered: RegisteredRoute, until: Date) => void;

/** Receives warnings: fields for the log, and the message. */
export type InstallerWarning = (fields: object, message: string) => void;

/** Warns that another program deletes a route again and again. */
export function warnOfContention(warn: InstallerWarning, { route, iface }: RegisteredRoute): void {
  const message = `the route is taken away again and again, and put back with growing delays: ${formatRoute(route)}`;
  warn({ code: 'ERR_ROUTE_CONTENDED', ...route, iface }, message);
}
