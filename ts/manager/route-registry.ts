/** The registered routes and the sessions that they share, with the indexes that find them. It calls nobody. */
import { packAddress, type PackedAddress } from '../base/address.js';
import { parseDestination, type Peer, priorityOf, type Route } from '../base/route.js';
import type { RouteId, SessionId } from '../engine/engine.js';
import { LocalEndpoint } from './local-endpoint.js';
import { ManagedRoute } from './managed-route.js';
import { ManagedSession } from './managed-session.js';
import type { SessionParameters } from './session-parameters.js';

export class RouteRegistry {
  readonly #endpoints = new Map<string, LocalEndpoint<ManagedSession>>();
  readonly #sessions = new Map<SessionId, ManagedSession>();
  /** By both addresses: on the wire a multihop session has no interface. */
  readonly #multihop = new Map<string, ManagedSession>();
  /** By table, prefix length and priority, then by the destination's address. */
  readonly #slots = new Map<string, Map<PackedAddress, ManagedRoute>>();
  #lastSessionId: SessionId = 0;
  #lastRouteId: RouteId = 0;

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** How many registrations of routes have not ended. */
  get registeredCount(): number {
    let count = 0;
    for (const { routes } of this.#endpoints.values()) count += routes.registered;
    return count;
  }

  /** Those that have sessions. */
  endpoints(): Iterable<LocalEndpoint<ManagedSession>> {
    return this.#endpoints.values();
  }

  *routes(): IterableIterator<ManagedRoute> {
    for (const routes of this.#slots.values()) yield* routes.values();
  }

  session({ iface, localIP, peerIP }: Readonly<Peer>): ManagedSession | undefined {
    return this.#endpoints.get(endpointKey(iface, localIP))?.sessions.get(packAddress(peerIP));
  }

  /** The multihop session between two addresses, on any interface. */
  multihopSession(localIP: string, peerIP: string): ManagedSession | undefined {
    return this.#multihop.get(multihopKey(localIP, peerIP));
  }

  sessionById(id: SessionId): ManagedSession | undefined {
    return this.#sessions.get(id);
  }

  /** The registered route with the key of a route on an interface. */
  route(iface: string, route: Readonly<Route>): ManagedRoute | undefined {
    const occupant = this.occupant(route);
    return occupant?.hasKeyOf(iface, route) === true ? occupant : undefined;
  }

  /** The registered route in the slot of a route. A slot is part of a key, and holds one registered route at most. */
  occupant(route: Readonly<Route>): ManagedRoute | undefined {
    const prefix = parseDestination(route.dst);
    if (prefix === undefined) return undefined;
    return this.#slots.get(slotGroup(route.table, prefix.length, priorityOf(route)))?.get(packAddress(prefix.address));
  }

  /** The local endpoint of an interface and an address. It is kept from its first session to its last. */
  endpoint(iface: string, localIP: string): LocalEndpoint<ManagedSession> {
    return this.#endpoints.get(endpointKey(iface, localIP)) ?? new LocalEndpoint(iface, localIP);
  }

  addSession(endpoint: LocalEndpoint<ManagedSession>, address: PackedAddress, parameters: SessionParameters): ManagedSession {
    this.#lastSessionId += 1;
    const session = new ManagedSession(this.#lastSessionId, endpoint, address, parameters);
    if (session.multihop) this.#multihop.set(multihopKey(session.localIP, session.peerIP), session);
    if (endpoint.sessions.size === 0) this.#endpoints.set(endpointKey(endpoint.iface, endpoint.localIP), endpoint);
    endpoint.sessions.set(address, session);
    this.#sessions.set(session.id, session);
    return session;
  }

  removeSession(session: ManagedSession): void {
    const { id, endpoint, address, localIP, peerIP, multihop } = session;
    if (multihop && this.multihopSession(localIP, peerIP) === session) this.#multihop.delete(multihopKey(localIP, peerIP));
    endpoint.sessions.delete(address);
    if (endpoint.sessions.size === 0) this.#endpoints.delete(endpointKey(endpoint.iface, endpoint.localIP));
    this.#sessions.delete(id);
  }

  addRoute(route: Readonly<Route>, session: ManagedSession): ManagedRoute {
    this.#lastRouteId += 1;
    const managed = new ManagedRoute(this.#lastRouteId, route, session);
    const group = slotGroupOf(managed);
    const routes = this.#slots.get(group) ?? new Map<PackedAddress, ManagedRoute>();
    if (routes.size === 0) this.#slots.set(group, routes);
    routes.set(managed.destination, managed);
    session.addRoute(managed);
    managed.count(1);
    return managed;
  }

  removeRoute(managed: ManagedRoute): void {
    const group = slotGroupOf(managed);
    const routes = this.#slots.get(group);
    if (routes?.get(managed.destination) !== managed) return;
    routes.delete(managed.destination);
    if (routes.size === 0) this.#slots.delete(group);
    managed.setBackup(undefined);
    managed.count(-1);
    managed.session.removeRoute(managed);
  }
}

function endpointKey(iface: string, localIP: string): string {
  return `${iface} ${localIP}`;
}

function multihopKey(localIP: string, peerIP: string): string {
  return `${localIP} ${peerIP}`;
}

function slotGroupOf({ table, prefixLength, priority }: ManagedRoute): string {
  return slotGroup(table, prefixLength, priority);
}

/** A text per group of slots and not per slot: there are few groups. */
function slotGroup(table: number, prefixLength: number, priority: number): string {
  return `${table} ${prefixLength} ${priority}`;
}
