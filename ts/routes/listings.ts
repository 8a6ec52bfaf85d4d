/** Finds out whether a backend holds a route: asks for it, or lists all routes if the backend has no `routeHolds`. */
import type { PlacedRoute, RouteReaderWriter } from './reader-writer.js';
import { formatSlot } from '../base/route.js';
import { isSameRoute } from './same-place.js';

export class Listings {
  readonly #backend: RouteReaderWriter;
  /** By protocol number: the listing that callers of the same turn of the event loop share. */
  readonly #next = new Map<number, Promise<readonly PlacedRoute[]>>();

  constructor(backend: RouteReaderWriter) {
    this.#backend = backend;
  }

  async holds(placed: PlacedRoute): Promise<boolean> {
    if (this.#backend.routeHolds !== undefined) return this.#backend.routeHolds(placed);
    const slot = formatSlot(placed.route);
    const listed = await this.#list(placed.route.protocol);
    return listed.some(
      ({ route, iface }) =>
        formatSlot(route) === slot && isSameRoute(route, placed.route) && (iface === undefined || iface === placed.iface),
    );
  }

  /** A listing that begins after this call. */
  #list(protocol: number): Promise<readonly PlacedRoute[]> {
    const shared = this.#next.get(protocol);
    if (shared !== undefined) return shared;
    const listing = Promise.resolve().then(() => {
      this.#next.delete(protocol);
      return listRoutes(this.#backend, protocol);
    });
    this.#next.set(protocol, listing);
    return listing;
  }
}

/** The routes of a protocol number, with their interfaces if the backend knows them. */
export async function listRoutes(backend: RouteReaderWriter, protocol: number): Promise<readonly PlacedRoute[]> {
  if (backend.placedRoutes !== undefined) return backend.placedRoutes(protocol);
  return (await backend.routeByProtocol(protocol)).map((route) => ({ route }));
}
