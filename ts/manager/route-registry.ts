/** Which routes are registered, and which sessions they share. Pure bookkeeping: it asks nobody and tells nobody. */
import { addressToNumber, parsePrefix } from '../base/address.js';
import type { RouteId, SessionId, SessionTimers } from '../engine/engine.js';
import type { Peer, Route } from '../base/route.js';
import { RouteEntry } from './managed-route.js';
import { Scope } from './local-endpoint.js';
import { Session } from './managed-session.js';

export class Registry {
  readonly #scopes = new Map<string, Scope>();
  readonly #sessions = new Map<SessionId, Session>();
  /** By what slots have in common, then by the destination's address. */
  readonly #slots = new Map<string, Map<number, RouteEntry>>();
  #lastSessionId: SessionId = 0;
  #lastRouteId: RouteId = 0;

  get sessionCount(): number {
    return this.#sessions.size;
  }

  *routes(): IterableIterator<RouteEntry> {
    for (const entries of this.#slots.values()) yield* entries.values();
  }

  session({ iface, localIP, peerIP }: Readonly<Peer>): Session | undefined {
    return this.#scopes.get(scopeKey(iface, localIP))?.sessions.get(addressToNumber(peerIP));
  }

  sessionById(id: SessionId): Session | undefined {
    return this.#sessions.get(id);
  }

  /** The registered route of a key. */
  route(iface: string, route: Readonly<Route>): RouteEntry | undefined {
    const occupant = this.occupant(route);
    return occupant?.isKeyOf(iface, route) === true ? occupant : undefined;
  }

  /** Who holds the slot that a route would occupy: slots are part of keys, and no two registered routes share one. */
  occupant(route: Readonly<Route>): RouteEntry | undefined {
    const prefix = parsePrefix(route.dst);
    if (prefix === undefined) return undefined;
    return this.#slots.get(slotKey(route.table, prefix.length, route.priority ?? 0))?.get(addressToNumber(prefix.address));
  }

  /** The scope of an interface and a local address; it comes to stay with its first session. */
  scope(iface: string, localIP: string): Scope {
    return this.#scopes.get(scopeKey(iface, localIP)) ?? new Scope(iface, localIP);
  }

  addSession(scope: Scope, address: number, peerPort: number, timers: SessionTimers): Session {
    this.#lastSessionId += 1;
    const session = new Session(this.#lastSessionId, scope, address, peerPort, timers);
    if (scope.sessions.size === 0) this.#scopes.set(scopeKey(scope.iface, scope.localIP), scope);
    scope.sessions.set(address, session);
    this.#sessions.set(session.id, session);
    return session;
  }

  removeSession({ id, scope, address }: Session): void {
    scope.sessions.delete(address);
    if (scope.sessions.size === 0) this.#scopes.delete(scopeKey(scope.iface, scope.localIP));
    this.#sessions.delete(id);
  }

  addRoute(route: Readonly<Route>, session: Session): RouteEntry {
    this.#lastRouteId += 1;
    const entry = new RouteEntry(this.#lastRouteId, route, session);
    const key = slotKeyOf(entry);
    const entries = this.#slots.get(key) ?? new Map<number, RouteEntry>();
    if (entries.size === 0) this.#slots.set(key, entries);
    entries.set(entry.destination, entry);
    session.addRoute(entry);
    return entry;
  }

  removeRoute(entry: RouteEntry): void {
    const key = slotKeyOf(entry);
    const entries = this.#slots.get(key);
    if (entries?.get(entry.destination) === entry) entries.delete(entry.destination);
    if (entries?.size === 0) this.#slots.delete(key);
    entry.session.removeRoute(entry);
  }
}

function scopeKey(iface: string, localIP: string): string {
  return `${iface} ${localIP}`;
}

function slotKeyOf({ table, prefixLength, priority }: RouteEntry): string {
  return slotKey(table, prefixLength, priority);
}

function slotKey(table: number, prefixLength: number, priority: number): string {
  return `${table} ${prefixLength} ${priority}`;
}
