/** An adapter that makes a manager look like a routing backend. */
import * as v from 'valibot';

import { ConfigError, expected } from '../base/errors.js';
import { hasMethods, integer, object, optionsOf } from '../base/fields.js';
import { parseInterface, type Route } from '../base/route.js';
import { checkProtocol } from '../routes/backend-options.js';
import { BACKEND_METHODS, type RouteReaderWriter } from '../routes/reader-writer.js';

/** The methods of a manager that `newRouteReaderWriter` calls. */
export interface RouteRegistrar {
  registerRoute(route: Route, iface: string, options?: { port?: number | undefined }): Promise<void>;
  withdrawRoute(route: Route, iface: string): Promise<void>;
  getSessions(): readonly { peer: { iface: string }; routes: readonly { route: Route }[] }[];
}

/** linux/rtnetlink.h: RTPROT_BGP. */
const PROTOCOL_BGP = 186;

const OPTIONS_SCHEMA = object({ port: v.optional(integer(1, 65_535)) });

/**
 * A `RouteReaderWriter` for one interface whose routes depend on liveness sessions (reference name: `NewRouteReaderWriter`).
 * Adding a route registers it, deleting a route withdraws it. Listing protocol 186 (BGP) returns every route that is registered
 * on the interface, installed or not; the backend lists other protocols. Adding a prefix again with another next hop or source
 * replaces its route.
 *
 * @param options.port the peers' UDP port; default: that of the manager's `registerRoute`
 * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_INTERFACE` if `iface` is no name of an interface
 */
export function newRouteReaderWriter(
  manager: RouteRegistrar,
  backend: RouteReaderWriter,
  iface: string,
  options?: { port?: number | undefined },
): RouteReaderWriter {
  const port = optionsOf(OPTIONS_SCHEMA, options);
  checkMethods('manager', manager, ['registerRoute', 'withdrawRoute', 'getSessions']);
  checkMethods('backend', backend, BACKEND_METHODS);
  parseInterface(iface);
  return {
    routeAdd: (route) => manager.registerRoute(route, iface, port),
    routeDelete: (route) => manager.withdrawRoute(route, iface),
    routeByProtocol: async (protocol) => {
      checkProtocol(protocol);
      if (protocol !== PROTOCOL_BGP) return backend.routeByProtocol(protocol);
      const sessions = manager.getSessions().filter(({ peer }) => peer.iface === iface);
      return sessions.flatMap((session) => session.routes.map(({ route }) => route));
    },
  };
}

function checkMethods(path: string, value: unknown, names: readonly string[]): void {
  if (hasMethods(value, names)) return;
  throw new ConfigError([{ path, message: expected(path, `an object with ${names.join(', ')}`, value) }]);
}
