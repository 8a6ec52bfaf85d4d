/** The interface to a routing backend, and the adapter that puts liveness between a backend and its user. */
import { type Route } from '../route.js';

/**
 * A routing backend (reference name: `RouteReaderWriter`). Each method may return a promise. Calls for one route never
 * overlap; calls for different routes do.
 */
export interface RouteReaderWriter {
  /** Installs a route. Installing the same route again is no error. */
  routeAdd(route: Route): void | Promise<void>;
  /** Deletes a route. Deleting one that is not there is no error. */
  routeDelete(route: Route): void | Promise<void>;
  /** The routes that carry a protocol number, 1 to 255. */
  routeByProtocol(protocol: number): Route[] | Promise<Route[]>;
}

/** What the adapter needs of a manager. */
export interface RouteRegistrar {
  registerRoute(route: Route, iface: string, options?: { port?: number }): Promise<void>;
  withdrawRoute(route: Route, iface: string): Promise<void>;
  getSessions(): readonly { peer: { iface: string }; routes: readonly { route: Route }[] }[];
}

/** linux/rtnetlink.h: RTPROT_BGP. */
const PROTOCOL_BGP = 186;

/**
 * A `RouteReaderWriter` for one interface whose routes live and die with their sessions: adding registers, deleting
 * withdraws, and listing protocol 186 (BGP) gives every route that is registered on the interface, installed or not.
 * Other protocols are listed by the backend. (Reference name: `NewRouteReaderWriter`.)
 *
 * @param options.port the peers' UDP port; default 44880
 */
export function newRouteReaderWriter(
  manager: RouteRegistrar,
  backend: RouteReaderWriter,
  iface: string,
  options: { port?: number } = {},
): RouteReaderWriter {
  return {
    routeAdd: (route) => manager.registerRoute(route, iface, options),
    routeDelete: (route) => manager.withdrawRoute(route, iface),
    routeByProtocol: (protocol) => {
      if (protocol !== PROTOCOL_BGP) return backend.routeByProtocol(protocol);
      const here = manager.getSessions().filter((session) => session.peer.iface === iface);
      return here.flatMap((session) => session.routes.map(({ route }) => route));
    },
  };
}
