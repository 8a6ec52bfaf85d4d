/** The interface of a routing backend. */
import type { Route } from '../base/route.js';

/** A route of a backend, with its output interface if the backend knows it. */
export interface PlacedRoute {
  readonly route: Route;
  readonly iface?: string | undefined;
}

/** How a backend lost routes: another program deleted them (`taken`), or they depended on a link or address that is gone (`dropped`). */
export type RouteLoss = 'taken' | 'dropped';

/** Receives the losses that a backend notices. */
export interface RouteWatcher {
  /** These routes are lost. A route that is taken again and again is put back with growing delays. */
  lost(routes: readonly Route[], how: RouteLoss): void;
  /** The backend no longer notices losses. Nothing follows. */
  failed(error: Error): void;
}

/**
 * A routing backend (reference name: `RouteReaderWriter`). Each method may return a promise. Calls for one slot (table,
 * destination, priority) are made one after the other; a call without an answer within `routeTimeout` is no longer waited for.
 * Calls for different slots overlap.
 */
export interface RouteReaderWriter {
  /**
   * Installs a route. Installing the same route again is no error.
   *
   * @param iface the output interface. Default: the backend's choice
   */
  routeAdd(route: Route, iface?: string): void | Promise<void>;
  /** Deletes a route. A missing route is no error. */
  routeDelete(route: Route, iface?: string): void | Promise<void>;
  /** The routes that carry a protocol number, 1 to 255. */
  routeByProtocol(protocol: number): Route[] | Promise<Route[]>;
  /**
   * Optional. Installs a route, then deletes the previous route of the same slot, so that the slot is never empty. Without this
   * method the previous route is deleted first.
   */
  routeReplace?(previous: PlacedRoute, route: PlacedRoute): void | Promise<void>;
  /** Optional. Whether the backend holds exactly this route. If so, its loss is reported from now on. */
  routeHolds?(route: PlacedRoute): boolean | Promise<boolean>;
  /** Optional. As `routeByProtocol`, with the interfaces of the routes. */
  placedRoutes?(protocol: number): PlacedRoute[] | Promise<PlacedRoute[]>;
  /** Optional. Reports every loss of a route that was installed here, until the returned function is called. */
  watchRoutes?(watcher: RouteWatcher): () => void;
}

/** The methods that a backend must have. */
export const BACKEND_METHODS = ['routeAdd', 'routeDelete', 'routeByProtocol'] as const;
