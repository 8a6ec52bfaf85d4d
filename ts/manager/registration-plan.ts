/** What one call registers: everything is checked first, so that it is done as a whole or not at all. */
import { addressToNumber } from '../base/address.js';
import { toMicros } from '../base/clock.js';
import { NO_OPTIONS, type RegisterOptions, type ResolvedConfig, validateRegisterOptions } from './config.js';
import type { PathFault, SessionPath, SessionTimers } from '../engine/engine.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, type RouteIssue } from '../base/errors.js';
import type { SessionTimerOptions } from '../base/intervals.js';
import { DEFAULT_LIVENESS_PORT } from '../protocol/udp.js';
import type { Registry } from './route-registry.js';
import type { PutBack, RouteEntry } from './managed-route.js';
import type { Session } from './managed-session.js';
import { formatPeer, formatRoute, formatSlot, parseInterface, parseRoute, type Peer, peerOf, type Route } from '../base/route.js';

/** A route to register, with its options. */
export interface Registration extends RegisterOptions {
  route: Route;
  iface: string;
}

/** What one call has registered, or why it has not. */
export interface Enrolment {
  /** In the order of the registrations. */
  readonly entries: readonly RouteEntry[];
  /** The sessions that begin. */
  readonly added: ReadonlySet<Session>;
  /** The sessions that are to have other timers or another port. */
  readonly changed: ReadonlyMap<Session, SessionParameters>;
  /** The sessions that routes were moved away from. */
  readonly left: ReadonlySet<Session>;
  /** The entries that were registered before, each with what puts it back as it was. */
  readonly renewed: ReadonlyMap<RouteEntry, PutBack>;
  readonly issues: RouteIssue[];
  /** What stands behind each issue, by its index. */
  readonly errors: Map<number, unknown>;
}

/** What the routes that share a session have to agree on. */
export interface SessionParameters {
  readonly peerPort: number;
  readonly timers: SessionTimers;
}

/**
 * Registers routes with what is registered, against that, against each other and against the host. Where there are issues
 * nothing has changed.
 */
export function enrol(
  registrations: readonly Registration[],
  registry: Registry,
  config: ResolvedConfig,
  checkPaths: (paths: readonly SessionPath[]) => readonly PathFault[],
  indistinct: (sessions: readonly Session[]) => readonly number[] = () => [],
): Enrolment {
  const enroller = new Enroller(registry, config);
  const errors = new Map<number, unknown>();
  registrations.forEach((registration, index) => {
    try {
      enroller.enrol(registration, index);
    } catch (error) {
      errors.set(index, error);
    }
  });
  for (const [index, error] of enroller.sharingErrors()) errors.set(index, error);
  for (const [index, error] of enroller.pathErrors(checkPaths)) errors.set(index, error);
  for (const [index, error] of enroller.indistinctErrors(indistinct)) errors.set(index, error);
  const issues = [...errors].sort(([one], [other]) => one - other).map(([index, error]) => toIssue(index, error));
  if (issues.length > 0) enroller.takeBack();
  else enroller.renew();
  const { entries, added, changed, left, renewed } = enroller;
  return { entries, added, changed, left, renewed, issues, errors };
}

/** A registered route that is registered again. */
interface Renewal {
  readonly entry: RouteEntry;
  readonly route: Readonly<Route>;
  readonly session: Session;
}

/** Puts new routes and sessions into the registry as it goes, and keeps what else is to change until all are found in order. */
class Enroller {
  readonly entries: RouteEntry[] = [];
  readonly added = new Set<Session>();
  readonly changed = new Map<Session, SessionParameters>();
  readonly left = new Set<Session>();
  readonly renewed = new Map<RouteEntry, PutBack>();
  readonly #registry: Registry;
  readonly #config: ResolvedConfig;
  readonly #standard: SessionTimers;
  readonly #routes = new Set<RouteEntry>();
  readonly #renewals = new Map<RouteEntry, Renewal>();
  /** The sessions that this call has spoken of, with the index of the first registration that did. */
  readonly #named = new Map<Session, number>();
  /** The session that begins with, or before, the registration of an index. */
  readonly #begun: (Session | undefined)[] = [];

  constructor(registry: Registry, config: ResolvedConfig) {
    this.#registry = registry;
    this.#config = config;
    this.#standard = timersOf({}, config);
  }

  enrol(registration: Registration, index: number): void {
    if (typeof registration !== 'object' || (registration as unknown) === null) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('', 'an object with `route` and `iface`', registration));
    }
    const { route: given, iface: name, ...rest } = registration;
    const options = isEmpty(rest) ? NO_OPTIONS : rest;
    const route = parseRoute(given);
    const iface = parseInterface(name);
    const { port = DEFAULT_LIVENESS_PORT, peerIP: named, ...own } = validateRegisterOptions(options, this.#config);
    const peer = { iface, localIP: route.src, peerIP: peerOf(route, named) };
    if (peer.localIP === peer.peerIP) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('route.src', 'another address than the peer', route.src));
    }
    checkSource(route, this.#config);
    const occupant = this.#registry.occupant(route);
    if (occupant !== undefined) this.#checkOccupant(occupant, route, peer);
    const session = this.#session(peer, { peerPort: port, timers: this.#timers(own) }, index);
    if (this.added.has(session)) this.#begun[index] = session;
    this.entries.push(this.#entry(occupant, route, session));
  }

  /** What is wrong with the paths of sessions that begin; the others were found good when theirs did. */
  *pathErrors(checkPaths: (paths: readonly SessionPath[]) => readonly PathFault[]): Iterable<[number, LivenessError]> {
    const scopes = [...new Set([...this.added].map(({ scope }) => scope))];
    const faults = new Map(checkPaths(scopes).map((fault) => [scopes[fault.index], fault]));
    if (faults.size === 0) return;
    for (const [index, session] of this.#begun.entries()) {
      const fault = faults.get(session?.scope);
      if (session !== undefined && fault !== undefined) yield [index, pathError(session, fault)];
    }
  }

  /** A session that other routes share, and that this call does not name, stays as it is. */
  *sharingErrors(): Iterable<[number, ConfigError]> {
    for (const [session, wanted] of this.changed) {
      for (const entry of session.routes) {
        if (entry.leaving || this.#renewals.has(entry) || this.#routes.has(entry)) continue;
        yield [this.#named.get(session) ?? 0, sharedError(session.peer, differences(session, wanted))];
        break;
      }
    }
  }

  /** Sessions that begin and that the engine could not tell from others. */
  *indistinctErrors(indistinct: (sessions: readonly Session[]) => readonly number[]): Iterable<[number, LivenessError]> {
    const added = [...this.added];
    const wrong = new Set(indistinct(added).map((at) => added[at]));
    if (wrong.size === 0) return;
    for (const [index, session] of this.#begun.entries()) {
      if (session !== undefined && wrong.has(session)) yield [index, indistinctError(session)];
    }
  }

  takeBack(): void {
    for (const entry of this.#routes) this.#registry.removeRoute(entry);
    for (const session of this.added) this.#registry.removeSession(session);
  }

  renew(): void {
    for (const { entry, route, session } of this.#renewals.values()) {
      this.renewed.set(entry, entry.snapshot());
      if (entry.session !== session) this.left.add(entry.session);
      entry.renew(route, session);
    }
  }

  /** Most have the timers of the configuration, and then the same. */
  #timers(own: SessionTimerOptions): SessionTimers {
    const timers = timersOf(own, this.#config);
    return isSame(timers, this.#standard) ? this.#standard : timers;
  }

  #entry(occupant: RouteEntry | undefined, route: Readonly<Route>, session: Session): RouteEntry {
    if (occupant === undefined) {
      const entry = this.#registry.addRoute(route, session);
      this.#routes.add(entry);
      return entry;
    }
    this.#renewals.set(occupant, { entry: occupant, route, session });
    return occupant;
  }

  /** Refuses what would take a slot from another, or name one slot twice with two meanings. */
  #checkOccupant(occupant: RouteEntry, route: Readonly<Route>, peer: Peer): void {
    const isNew = this.#routes.has(occupant);
    const renewal = this.#renewals.get(occupant);
    if (isNew || renewal !== undefined) {
      const session = renewal?.session ?? occupant.session;
      const named = renewal?.route ?? occupant.route;
      const isSame = named.nextHop === route.nextHop && named.protocol === route.protocol && formatPeer(session.peer) === formatPeer(peer);
      if (!isSame) throw conflict(`The slot (${formatSlot(route)}) is named twice in one call, with two meanings`);
      return;
    }
    if (occupant.leaving) return;
    if (occupant.iface !== peer.iface) {
      throw conflict(`The slot (${formatSlot(route)}) is taken by a route that is registered on another interface (${occupant.key})`);
    }
    if (occupant.protocol !== route.protocol) {
      throw conflict(`${formatRoute(occupant.route)} is registered with protocol ${occupant.protocol}: withdraw it first`);
    }
  }

  /** The session with a peer: the one there is, if it can be as it is wanted, or a new one. */
  #session(peer: Peer, wanted: SessionParameters, index: number): Session {
    const scope = this.#registry.scope(peer.iface, peer.localIP);
    const address = addressToNumber(peer.peerIP);
    const session = scope.sessions.get(address);
    if (session === undefined) {
      this.#checkLimit();
      const begun = this.#registry.addSession(scope, address, wanted.peerPort, wanted.timers);
      this.added.add(begun);
      this.#named.set(begun, index);
      return begun;
    }
    const differing = differences(this.changed.get(session) ?? session, wanted);
    if (differing.length > 0) {
      if (this.#named.has(session)) throw sharedError(peer, differing);
      this.changed.set(session, wanted);
    }
    if (!this.#named.has(session)) this.#named.set(session, index);
    return session;
  }

  #checkLimit(): void {
    const most = maxSessions(this.#config);
    const needed = this.#registry.sessionCount + 1;
    if (needed <= most) return;
    const message = `${needed} sessions are more than ${most}, half of \`maxEvents\` (${this.#config.maxEvents}): set \`maxEvents\` to at least ${needed * 2}`;
    throw new LivenessError('ERR_TOO_MANY_SESSIONS', message);
  }
}

function isEmpty(options: object): boolean {
  return Object.keys(options).length === 0;
}

/** Each session has two entries in the scheduler's queue. */
export function maxSessions(config: ResolvedConfig): number {
  return Math.floor(config.maxEvents / 2);
}

function conflict(message: string): LivenessError {
  return new LivenessError('ERR_ROUTE_CONFLICT', message);
}

/** A socket of ours that is bound to one address hears nothing that comes to another. */
function checkSource(route: Readonly<Route>, { bindIP, udp }: ResolvedConfig): void {
  if (udp !== undefined || bindIP === '0.0.0.0' || bindIP === route.src) return;
  throw new LivenessError('EADDRNOTAVAIL', expected('route.src', `${bindIP}, which the manager is bound to (\`bindIP\`)`, route.src));
}

function timersOf(own: SessionTimerOptions, config: ResolvedConfig): SessionTimers {
  const { txMin = config.txMin, rxMin = config.rxMin, detectMult = config.detectMult } = own;
  return { txMinUs: toMicros(txMin), rxMinUs: toMicros(rxMin), detectMult };
}

function isSame(one: SessionTimers, other: SessionTimers): boolean {
  return one.txMinUs === other.txMinUs && one.rxMinUs === other.rxMinUs && one.detectMult === other.detectMult;
}

/** The options that two wishes for one session differ in. */
function differences({ timers, peerPort }: SessionParameters, wanted: SessionParameters): string[] {
  if (peerPort === wanted.peerPort && isSame(timers, wanted.timers)) return [];
  return [
    timers.txMinUs !== wanted.timers.txMinUs ? 'txMin' : '',
    timers.rxMinUs !== wanted.timers.rxMinUs ? 'rxMin' : '',
    timers.detectMult !== wanted.timers.detectMult ? 'detectMult' : '',
    peerPort !== wanted.peerPort ? 'port' : '',
  ].filter((name) => name !== '');
}

function sharedError(peer: Peer, differing: readonly string[]): ConfigError {
  const message = `The session (${formatPeer(peer)}) is shared with other routes and has another ${differing.join(', ')}`;
  return new ConfigError([{ path: differing[0] ?? '', message }]);
}

function pathError({ iface, localIP }: Session, fault: PathFault): LivenessError {
  if (fault.code === 'ERR_NO_SUCH_INTERFACE') {
    const what = fault.realName === undefined ? 'the name of an interface of this host' : `the interface's own name, \`${fault.realName}\``;
    return new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', what, iface));
  }
  return new LivenessError(fault.code, expected('route.src', 'an address of this host', localIP));
}

function indistinctError({ iface, localIP, peerIP }: Session): LivenessError {
  const message = `A session between ${localIP} and ${peerIP} is on another interface than ${iface} already: only the native engine can tell them apart`;
  return new LivenessError('ERR_ENGINE_UNAVAILABLE', message);
}

function toIssue(index: number, error: unknown): RouteIssue {
  return { index, code: codeOf(error) ?? 'ERR_INVALID_ROUTE', message: messageOf(error) };
}
