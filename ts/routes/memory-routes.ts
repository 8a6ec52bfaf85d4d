/** Routing tables in memory, for trials and tests, with the rules of the kernel backend. */
import { LivenessError } from '../base/errors.js';
import { formatSlot, parseListedRoute, parseRoute, type Route } from '../base/route.js';
import { type BackendOptions, checkProtocol, takesOver } from './backend-options.js';
import type { PlacedRoute, RouteReaderWriter } from './reader-writer.js';

/**
 * A backend that keeps its routes in memory. Adding a route to a slot (table, destination, priority) with a route of another
 * protocol is a conflict, unless `takeOver` is set. An IPv6 route without a priority has 1024, as in the kernel.
 */
export class MemoryRoutes implements RouteReaderWriter {
  readonly #routes = new Map<string, PlacedRoute>();
  readonly #takeOver: boolean;

  /** @throws ConfigError `ERR_CONFIG` */
  constructor(options?: BackendOptions) {
    this.#takeOver = takesOver(options);
  }

  /** @throws LivenessError `ERR_INVALID_ROUTE`, `ERR_ROUTE_CONFLICT` */
  routeAdd(route: Route, iface?: string): void {
    const added = parseRoute(route);
    const slot = formatSlot(added);
    const occupant = this.#routes.get(slot)?.route;
    if (occupant !== undefined && occupant.protocol !== added.protocol && !this.#takeOver) {
      throw new LivenessError('ERR_ROUTE_CONFLICT', `The slot (${slot}) is occupied by a route of protocol ${occupant.protocol}`);
    }
    this.#routes.set(slot, { route: added, iface });
  }

  /** @throws LivenessError `ERR_INVALID_ROUTE` */
  routeDelete(route: Route, iface?: string): void {
    const deleted = parseListedRoute(route);
    const slot = formatSlot(deleted);
    const occupant = this.#routes.get(slot);
    if (occupant === undefined) return;
    const isSame = occupant.route.protocol === deleted.protocol && occupant.route.nextHop === deleted.nextHop;
    if (isSame && (iface === undefined || occupant.iface === undefined || occupant.iface === iface)) this.#routes.delete(slot);
  }

  /** @throws ConfigError `ERR_CONFIG` if it is no protocol number */
  routeByProtocol(protocol: number): Route[] {
    return this.placedRoutes(protocol).map(({ route }) => route);
  }

  /** As `routeAdd`: a slot holds one route. */
  routeReplace(_: PlacedRoute, { route, iface }: PlacedRoute): void {
    this.routeAdd(route, iface);
  }

  placedRoutes(protocol: number): PlacedRoute[] {
    checkProtocol(protocol);
    const carried = [...this.#routes.values()].filter(({ route }) => route.protocol === protocol);
    return carried.map(({ route, iface }) => ({ route: { ...route }, iface }));
  }
}
