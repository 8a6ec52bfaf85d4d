/** Which routes are registered, and which sessions they share. Pure bookkeeping: it asks nobody and tells nobody. */
import type { SessionId, SessionRecord, SessionSpec, SessionTimers } from './engine/engine.js';
import type { RegisteredRoute, SessionView } from './installer/installer.js';
import { formatPeer, formatRouteKey, formatSlot, type Peer, type Route, routeKey } from './route.js';

/** One session and the routes that it speaks for. */
export class Session implements SessionView {
  readonly id: SessionId;
  readonly peer: Readonly<Peer>;
  peerPort: number;
  timers: SessionTimers;
  up = false;
  turn: SessionView['turn'];
  peerPassive = false;
  adminDown = false;
  readonly routes = new Set<RouteEntry>();

  constructor(id: SessionId, peer: Readonly<Peer>, peerPort: number, timers: SessionTimers) {
    this.id = id;
    this.peer = peer;
    this.peerPort = peerPort;
    this.timers = timers;
  }

  /** Takes in a transition, or several. */
  turned({ to, convStartUs, atUs }: SessionRecord): void {
    this.up = to === 'up';
    if (convStartUs !== undefined) this.turn = { startUs: convStartUs, atUs };
  }

  get spec(): SessionSpec {
    return { ...this.timers, ...this.peer, id: this.id, peerPort: this.peerPort };
  }
}

/** One registered route. On its way out it keeps its key and its slot until the backend has confirmed. */
export class RouteEntry implements RegisteredRoute {
  readonly key: string;
  readonly iface: string;
  route: Readonly<Route>;
  adminDown = false;
  leaving = false;
  session: Session;

  constructor(iface: string, route: Readonly<Route>, session: Session) {
    this.key = keyOf(iface, route);
    this.iface = iface;
    this.route = route;
    this.session = session;
  }
}

export function keyOf(iface: string, route: Readonly<Route>): string {
  return formatRouteKey(routeKey(iface, route));
}

export class Registry {
  readonly #sessions = new Map<string, Session>();
  readonly #sessionsById = new Map<SessionId, Session>();
  readonly #routes = new Map<string, RouteEntry>();
  readonly #slots = new Map<string, RouteEntry>();
  #lastSessionId = 0;

  get sessionCount(): number {
    return this.#sessions.size;
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  routes(): IterableIterator<RouteEntry> {
    return this.#routes.values();
  }

  session(peer: Readonly<Peer>): Session | undefined {
    return this.#sessions.get(formatPeer(peer));
  }

  sessionById(id: SessionId): Session | undefined {
    return this.#sessionsById.get(id);
  }

  route(iface: string, route: Readonly<Route>): RouteEntry | undefined {
    return this.#routes.get(keyOf(iface, route));
  }

  /** Who holds the slot that a route would occupy. */
  occupant(route: Readonly<Route>): RouteEntry | undefined {
    return this.#slots.get(formatSlot(route));
  }

  addSession(peer: Readonly<Peer>, peerPort: number, timers: SessionTimers): Session {
    this.#lastSessionId += 1;
    const session = new Session(this.#lastSessionId, Object.freeze({ ...peer }), peerPort, timers);
    this.#sessions.set(formatPeer(peer), session);
    this.#sessionsById.set(session.id, session);
    return session;
  }

  removeSession(session: Session): void {
    this.#sessions.delete(formatPeer(session.peer));
    this.#sessionsById.delete(session.id);
  }

  addRoute(iface: string, route: Readonly<Route>, session: Session): RouteEntry {
    const entry = new RouteEntry(iface, route, session);
    this.#routes.set(entry.key, entry);
    this.#slots.set(formatSlot(route), entry);
    session.routes.add(entry);
    return entry;
  }

  /** Gives up key and slot of a route that has left, unless it was registered again meanwhile. */
  removeIfLeaving(entry: RouteEntry): void {
    if (entry.leaving) this.removeRoute(entry);
  }

  removeRoute(entry: RouteEntry): void {
    if (this.#routes.get(entry.key) === entry) this.#routes.delete(entry.key);
    if (this.occupant(entry.route) === entry) this.#slots.delete(formatSlot(entry.route));
    entry.session.routes.delete(entry);
  }
}
