/** The interface to a routing backend, and the adapter that puts liveness between a backend and its user. */
import * as v from 'valibot';

import { ConfigError, expected } from '../base/errors.js';
import { hasMethods, integer, object, optionsOf } from '../base/fields.js';
import { parseInterface, type Route } from '../base/route.js';
import { checkProtocol } from './backend-options.js';

/** A route of a backend, and the interface that it leads over, where the backend knows it. */
export interface PlacedRoute {
  readonly route: Route;
  readonly iface?: string | undefined;
}

/** How a backend lost routes: somebody took them away, or they went with something that they depend on, such as a link. */
export type RouteLoss = 'taken' | 'dropped';

/** What a backend tells of its routes by itself. */
export interface RouteWatcher {
  /** These routes are gone. What somebody takes again and again is put back with growing delays. */
  lost(routes: readonly Route[], how: RouteLoss): void;
  /** The backend can no longer tell what is lost. Nothing follows. */
  failed(error: Error): void;
}

/**
 * A routing backend (reference name: `RouteReaderWriter`). Each method may return a promise. Calls for one slot (table,
 * destination, priority) follow each other, except that a call may follow one that did not answer within `routeTimeout`;
 * calls for different slots overlap.
 */
export interface RouteReaderWriter {
  /**
   * Installs a route. Installing the same route again is no error.
   *
   * @param iface the interface that the route has to lead over. Default: the backend chooses
   */
  routeAdd(route: Route, iface?: string): void | Promise<void>;
  /** Deletes a route. Deleting one that is not there is no error. */
  routeDelete(route: Route, iface?: string): void | Promise<void>;
  /** The routes that carry a protocol number, 1 to 255. */
  routeByProtocol(protocol: number): Route[] | Promise<Route[]>;
  /**
   * Optional. Installs a route and then deletes the one that it replaces in the same slot, so that there is no moment without
   * either. Without this method the old route is deleted first.
   */
  routeReplace?(former: PlacedRoute, route: PlacedRoute): void | Promise<void>;
  /** Optional. Whether exactly this route is there; from then on its loss is told. */
  routeHolds?(route: PlacedRoute): boolean | Promise<boolean>;
  /** Optional. As `routeByProtocol`, with the interfaces of the routes. */
  placedRoutes?(protocol: number): PlacedRoute[] | Promise<PlacedRoute[]>;
  /** Optional. Tells of every route that was installed here and is lost, until the function that it gives is called. */
  watchRoutes?(watcher: RouteWatcher): () => void;
}

/** What a backend has to have. */
export const BACKEND_METHODS = ['routeAdd', 'routeDelete', 'routeByProtocol'] as const;

/** What the adapter needs of a manager. */
export interface RouteRegistrar {
  registerRoute(route: Route, iface: string, options?: { port?: number | undefined }): Promise<void>;
  withdrawRoute(route: Route, iface: string): Promise<void>;
  getSessions(): readonly { peer: { iface: string }; routes: readonly { route: Route }[] }[];
}

/** linux/rtnetlink.h: RTPROT_BGP. */
const PROTOCOL_BGP = 186;

const SCOPED_SCHEMA = object({ port: v.optional(integer(1, 65_535)) });

/**
 * A `RouteReaderWriter` for one interface whose routes live and die with their sessions: adding registers, deleting
 * withdraws, and listing protocol 186 (BGP) gives every route that is registered on the interface, installed or not.
 * Other protocols are listed by the backend. Adding a prefix again with another next hop or source replaces its route.
 * (Reference name: `NewRouteReaderWriter`.)
 *
 * @param options.port the peers' UDP port; default 44880
 * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_INTERFACE` where it is no name of an interface
 */
export function newRouteReaderWriter(
  manager: RouteRegistrar,
  backend: RouteReaderWriter,
  iface: string,
  options?: { port?: number | undefined },
): RouteReaderWriter {
  const port = optionsOf(SCOPED_SCHEMA, options);
  checkMethods('manager', manager, ['registerRoute', 'withdrawRoute', 'getSessions']);
  checkMethods('backend', backend, BACKEND_METHODS);
  parseInterface(iface);
  return {
    routeAdd: (route) => manager.registerRoute(route, iface, port),
    routeDelete: (route) => manager.withdrawRoute(route, iface),
    routeByProtocol: async (protocol) => {
      checkProtocol(protocol);
      if (protocol !== PROTOCOL_BGP) return backend.routeByProtocol(protocol);
      const here = manager.getSessions().filter((session) => session.peer.iface === iface);
      return here.flatMap((session) => session.routes.map(({ route }) => route));
    },
  };
}

function checkMethods(path: string, value: unknown, names: readonly string[]): void {
  if (hasMethods(value, names)) return;
  throw new ConfigError([{ path, message: expected(path, `an object with ${names.join(', ')}`, value) }]);
}
