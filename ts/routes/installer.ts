/** Desired against actual, per route. Two ways to the same end: a backend that is called, and routes that the engine moves by itself. */
import type { KernelRoute, RouteId, EndpointRouteStats, SessionId } from '../engine/engine.js';
import { formatRoute, type Route } from '../base/route.js';

/** What a route needs to know of its session. */
export interface SessionView {
  readonly id: SessionId;
  readonly up: boolean;
  readonly peerPassive: boolean;
  /** The newest change to Up, or away from it: when it began to show and when it happened, in microseconds of CLOCK_MONOTONIC. */
  readonly lastTransition: { readonly startUs: number; readonly atUs: number } | undefined;
}

/** One registered route, as the manager keeps it. The installer reads it; only the manager changes it. */
export interface RegisteredRoute extends KernelRoute {
  readonly id: RouteId;
  readonly iface: string;
  /** In the user's words. */
  readonly route: Readonly<Route>;
  readonly noUninstall: boolean;
  readonly adminDown: boolean;
  readonly session: SessionView;
}

/** An operation on the backend that has ended. */
export interface RouteOperation {
  readonly route: Readonly<Route>;
  readonly iface: string;
  readonly op: 'add' | 'delete';
  readonly ok: boolean;
  /** Why it failed. */
  readonly error?: Error;
  /** From when it was wanted to the backend's answer, in milliseconds. */
  readonly duration: number;
}

/** What is known of a route in the backend. */
export interface RouteStatus {
  /** The backend has confirmed the route, and nothing has taken it away since. */
  readonly installed: boolean;
  /** The failure of the last operation; `undefined` once one succeeded. */
  readonly lastError: Error | undefined;
  /** Until when a route that others take away again and again is not put back. */
  readonly restoreAt: Date | undefined;
}

/** The status of a route that the installer does not know. */
export const UNKNOWN: RouteStatus = Object.freeze({ installed: false, lastError: undefined, restoreAt: undefined });

/** So long an adopted or replaced route stays although its session is not Up, in milliseconds: as long as Init may last. */
export const HOLD_MS = 3_300;

export interface RouteInstaller {
  /** Begins to keep routes, or goes on with those that were on their way out, or that are others for their slots by now. */
  add(registered: readonly RegisteredRoute[]): void;
  /** The route, its admin state or its session changed. */
  changed(registered: RegisteredRoute): void;
  /** Resolves when the route is there; rejects with the first failure, while retries go on, and with `ERR_CLOSED`. */
  confirmed(registered: RegisteredRoute): Promise<void>;
  /**
   * Lets a route go, after its deletion where it is installed and may be deleted. Resolves when the backend has confirmed, or
   * when the route is added again; rejects with `ERR_CLOSED`.
   */
  remove(registered: RegisteredRoute): Promise<void>;
  /** As `remove`, for a route that nobody waits for and whose slot may be registered anew at once. */
  abandon(registered: RegisteredRoute): void;
  /**
   * Takes over what a predecessor has left in the backend. Resolves with whether the route is there: it is held while its
   * session begins anew. Rejects with `ERR_CLOSED`.
   */
  adopt(registered: RegisteredRoute): Promise<boolean>;
  /** Something else has changed the slot by way of the same backend: what was known of the route is in doubt. */
  disturbed(registered: RegisteredRoute): void;
  status(registered: RegisteredRoute): RouteStatus;
  /** EndpointCounters of the routes that are not armed; the engine counts those that are. */
  stats(): EndpointRouteStats[];
  /** Stops everything; routes stay as they are. Who waits is told `ERR_CLOSED`. */
  close(): void;
}

/** What an installer tells of its work. */
export type OperationListener = (operation: RouteOperation) => void;

/** What an installer has to warn of: fields for the log, and the message. */
export type InstallerWarning = (fields: object, message: string) => void;

/** Says, once until there was peace, that others take a route away. */
export function warnOfContention(warn: InstallerWarning, { route, iface }: RegisteredRoute): void {
  const message = `the route is taken away again and again, and put back with growing delays: ${formatRoute(route)}`;
  warn({ code: 'ERR_ROUTE_CONTENDED', ...route, iface }, message);
}
