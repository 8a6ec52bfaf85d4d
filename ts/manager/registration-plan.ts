/** What one call of `registerRoutes` or `registerSession` will do: it is checked as a whole first, so that all or nothing is registered. */
import { packAddress, isUnicast } from '../base/address.js';
import { toMicros } from '../base/clock.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, type RouteIssue } from '../base/errors.js';
import type { SessionTimerOptions } from '../base/intervals.js';
import {
  formatPeer,
  formatRoute,
  formatSlot,
  isIPv6Route,
  parseInterface,
  parseRoute,
  type Peer,
  peerOf,
  type Route,
} from '../base/route.js';
import type { PathFault, RouteId, SessionPath } from '../engine/engine.js';
import { DEFAULT_LIVENESS_PORT } from '../protocol/liveness.js';
import type { SessionTimers } from '../protocol/session-core.js';
import {
  NO_OPTIONS,
  type RegisterOptions,
  type ResolvedConfig,
  type RegisterSessionOptions,
  validateRegisterOptions,
  validateSessionOptions,
} from './config.js';
import type { ManagedRoute, RestoreRoute } from './managed-route.js';
import type { ManagedSession } from './managed-session.js';
import type { RouteRegistry } from './route-registry.js';

/** A route to register, with its options. */
export interface Registration extends RegisterOptions {
  route: Route;
  iface: string;
}

/** The changes that a call makes, or the reasons why it makes none. */
export interface RegistrationPlan {
  /** In the order of the registrations. */
  readonly routes: readonly ManagedRoute[];
  /** The sessions that the call registers by themselves. */
  readonly registeredSessions: ReadonlySet<ManagedSession>;
  /** Sessions to start. */
  readonly addedSessions: ReadonlySet<ManagedSession>;
  /** Sessions that get other timers or another port. */
  readonly changedSessions: ReadonlyMap<ManagedSession, SessionParameters>;
  /** Sessions that lost a route to another session. */
  readonly leftSessions: ReadonlySet<ManagedSession>;
  /** The routes that were registered before, each with a function that restores it. */
  readonly renewedRoutes: ReadonlyMap<ManagedRoute, RestoreRoute>;
  readonly issues: RouteIssue[];
  /** The error behind each issue, by its index. */
  readonly errors: Map<number, unknown>;
}

/** The parameters of a session, on which all its routes must agree. */
export interface SessionParameters {
  readonly peerPort: number;
  readonly timers: SessionTimers;
}

/** The checks that only the engine can make. */
export interface EngineChecks {
  /** Which paths cannot work on this host. */
  checkPaths(paths: readonly SessionPath[]): readonly PathFault[];
  /** Which sessions, by index, the engine cannot tell from others; not there where it tells all apart. */
  indistinct?(sessions: readonly ManagedSession[]): readonly number[];
}

/**
 * Validates all registrations, against each other, the registered routes and the host. Without issues the new routes and
 * sessions are in the registry afterwards; with issues the registry is as before.
 */
export function planRegistration(
  registrations: readonly Registration[],
  registry: RouteRegistry,
  config: ResolvedConfig,
  engine: EngineChecks,
): RegistrationPlan {
  const planner = new RegistrationPlanner(registry, config);
  return planAll(planner, engine, registrations, (registration, index) => planner.planRoute(registration, index));
}

/** As `planRegistration`, of a session by itself. The peer is valid. */
export function planSession(
  peer: Peer,
  options: RegisterSessionOptions | undefined,
  registry: RouteRegistry,
  config: ResolvedConfig,
  engine: EngineChecks,
): RegistrationPlan {
  const planner = new RegistrationPlanner(registry, config);
  return planAll(planner, engine, [peer], () => planner.planSession(peer, validateSessionOptions(options, config)));
}

function planAll<T>(
  planner: RegistrationPlanner,
  engine: EngineChecks,
  registrations: readonly T[],
  plan: (registration: T, index: number) => void,
): RegistrationPlan {
  const errors = new Map<number, unknown>();
  registrations.forEach((registration, index) => {
    try {
      plan(registration, index);
    } catch (error) {
      errors.set(index, error);
    }
  });
  for (const [index, error] of planner.sharingErrors()) errors.set(index, error);
  for (const [index, error] of planner.pathErrors(engine)) errors.set(index, error);
  for (const [index, error] of planner.indistinctErrors(engine)) errors.set(index, error);
  const issues = [...errors].sort(([left], [right]) => left - right).map(([index, error]) => toIssue(index, error));
  if (issues.length > 0) planner.rollBack();
  else planner.renew();
  const { routes, registeredSessions, addedSessions, changedSessions, leftSessions, renewedRoutes } = planner;
  return { routes, registeredSessions, addedSessions, changedSessions, leftSessions, renewedRoutes, issues, errors };
}

/** A registered route that is registered again. */
interface Renewal {
  readonly managed: ManagedRoute;
  readonly route: Readonly<Route>;
  readonly session: ManagedSession;
}

/** Adds new routes and sessions to the registry at once, and delays all other changes until every registration is valid. */
class RegistrationPlanner {
  readonly routes: ManagedRoute[] = [];
  readonly registeredSessions = new Set<ManagedSession>();
  readonly addedSessions = new Set<ManagedSession>();
  readonly changedSessions = new Map<ManagedSession, SessionParameters>();
  readonly leftSessions = new Set<ManagedSession>();
  readonly renewedRoutes = new Map<ManagedRoute, RestoreRoute>();
  readonly #registry: RouteRegistry;
  readonly #config: ResolvedConfig;
  readonly #defaultTimers: SessionTimers;
  readonly #addedRoutes = new Map<RouteId, ManagedRoute>();
  readonly #renewals = new Map<RouteId, Renewal>();
  /** The sessions that this call names, each with the index of the first registration that does. */
  readonly #named = new Map<ManagedSession, number>();
  /** By index: the new session that the registration uses. */
  readonly #newSessions: (ManagedSession | undefined)[] = [];

  constructor(registry: RouteRegistry, config: ResolvedConfig) {
    this.#registry = registry;
    this.#config = config;
    this.#defaultTimers = timersOf({}, config);
  }

  /** @throws LivenessError the first fault of the registration by itself, or against what is registered or planned */
  planRoute(registration: Registration, index: number): void {
    if (typeof registration !== 'object' || (registration as unknown) === null) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('', 'an object with `route` and `iface`', registration));
    }
    const { route: given, iface: name, ...rest } = registration;
    const options = isEmpty(rest) ? NO_OPTIONS : rest;
    const route = parseRoute(given);
    if (isIPv6Route(route)) {
      throw new LivenessError(
        'ERR_INVALID_ROUTE',
        expected('route.dst', 'an IPv4 prefix, since sessions do not speak IPv6 yet', route.dst),
      );
    }
    const iface = parseInterface(name);
    const { peerIP: namedPeer, ...parameters } = validateRegisterOptions(options, this.#config);
    const peer = { iface, localIP: route.src, peerIP: peerOf(route, namedPeer) };
    if (peer.localIP === peer.peerIP) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('route.src', 'another address than the peer', route.src));
    }
    checkSource('route.src', route.src, this.#config);
    const occupant = this.#registry.occupant(route);
    if (occupant !== undefined) this.#checkOccupant(occupant, route, peer);
    const session = this.#session(peer, this.#parameters(parameters), index);
    if (this.addedSessions.has(session)) this.#newSessions[index] = session;
    this.routes.push(this.#route(occupant, route, session));
  }

  /** @throws LivenessError the first fault of the session by itself, or against what is registered */
  planSession(peer: Peer, options: RegisterSessionOptions): void {
    for (const name of ['localIP', 'peerIP'] as const) {
      if (isUnicast(peer[name])) continue;
      const path = `peer.${name}`;
      throw new ConfigError([{ path, message: expected(path, 'an IPv4 unicast address', peer[name]) }]);
    }
    if (peer.localIP === peer.peerIP) {
      throw new ConfigError([
        { path: 'peer.peerIP', message: expected('peer.peerIP', 'another address than `peer.localIP`', peer.peerIP) },
      ]);
    }
    checkSource('peer.localIP', peer.localIP, this.#config);
    const session = this.#session(peer, this.#parameters(options), 0);
    if (this.addedSessions.has(session)) this.#newSessions[0] = session;
    this.registeredSessions.add(session);
  }

  /** Faults of the paths of new sessions. The paths of other sessions were checked when those were registered. */
  *pathErrors(engine: EngineChecks): Iterable<[number, LivenessError]> {
    const endpoints = [...new Set([...this.addedSessions].map(({ endpoint }) => endpoint))];
    const faults = new Map(engine.checkPaths(endpoints).map((fault) => [endpoints[fault.index], fault]));
    if (faults.size === 0) return;
    for (const [index, session] of this.#newSessions.entries()) {
      const fault = faults.get(session?.endpoint);
      if (session !== undefined && fault !== undefined)
        yield [index, pathError(session, fault, this.registeredSessions.has(session) ? 'peer.localIP' : 'route.src')];
    }
  }

  /** Changed parameters of sessions that are shared with routes which this call does not register. */
  *sharingErrors(): Iterable<[number, ConfigError]> {
    for (const [session, desired] of this.changedSessions) {
      if (!this.#isShared(session)) continue;
      yield [this.#named.get(session) ?? 0, sharedError(session.peer, differences(session, desired))];
    }
  }

  /** Whether anything that this call does not register needs the session. */
  #isShared(session: ManagedSession): boolean {
    if (session.isRegistered && !this.registeredSessions.has(session)) return true;
    for (const { id, withdrawing } of session.routes) {
      if (!withdrawing && !this.#renewals.has(id) && !this.#addedRoutes.has(id)) return true;
    }
    return false;
  }

  /** New sessions that the engine cannot tell from others. */
  *indistinctErrors(engine: EngineChecks): Iterable<[number, LivenessError]> {
    const added = [...this.addedSessions];
    const indistinct = new Set((engine.indistinct?.(added) ?? []).map((index) => added[index]));
    if (indistinct.size === 0) return;
    for (const [index, session] of this.#newSessions.entries()) {
      if (session !== undefined && indistinct.has(session)) yield [index, indistinctError(session)];
    }
  }

  /** Removes from the registry what the planner has added. */
  rollBack(): void {
    for (const managed of this.#addedRoutes.values()) this.#registry.removeRoute(managed);
    for (const session of this.addedSessions) this.#registry.removeSession(session);
  }

  renew(): void {
    for (const { managed, route, session } of this.#renewals.values()) {
      this.renewedRoutes.set(managed, managed.restorer());
      if (managed.session !== session) this.leftSessions.add(managed.session);
      managed.renew(route, session);
    }
  }

  /** Most sessions have the timers of the configuration: they share one object. */
  #parameters({ port, ...options }: RegisterSessionOptions): SessionParameters {
    const timers = timersOf(options, this.#config);
    return {
      peerPort: port ?? (this.#config.port || DEFAULT_LIVENESS_PORT),
      timers: areSameTimers(timers, this.#defaultTimers) ? this.#defaultTimers : timers,
    };
  }

  #route(occupant: ManagedRoute | undefined, route: Readonly<Route>, session: ManagedSession): ManagedRoute {
    if (occupant === undefined) {
      const managed = this.#registry.addRoute(route, session);
      this.#addedRoutes.set(managed.id, managed);
      return managed;
    }
    this.#renewals.set(occupant.id, { managed: occupant, route, session });
    return occupant;
  }

  /** Refuses a route whose slot belongs to another route, or which this call names a second time with other fields. */
  #checkOccupant(occupant: ManagedRoute, route: Readonly<Route>, peer: Peer): void {
    const isNew = this.#addedRoutes.has(occupant.id);
    const renewal = this.#renewals.get(occupant.id);
    if (isNew || renewal !== undefined) {
      const session = renewal?.session ?? occupant.session;
      const named = renewal?.route ?? occupant.route;
      const isSame = named.nextHop === route.nextHop && named.protocol === route.protocol && formatPeer(session.peer) === formatPeer(peer);
      if (!isSame) throw conflict(`The slot (${formatSlot(route)}) is named twice in one call, with two meanings`);
      return;
    }
    if (occupant.withdrawing) return;
    if (occupant.iface !== peer.iface) {
      throw conflict(`The slot (${formatSlot(route)}) is taken by a route that is registered on another interface (${occupant.key})`);
    }
    if (occupant.protocol !== route.protocol) {
      throw conflict(`${formatRoute(occupant.route)} is registered with protocol ${occupant.protocol}: withdraw it first`);
    }
  }

  /** The session with a peer: the existing one, whose parameters may have to change, or a new one. */
  #session(peer: Peer, desired: SessionParameters, index: number): ManagedSession {
    const endpoint = this.#registry.endpoint(peer.iface, peer.localIP);
    const address = packAddress(peer.peerIP);
    const session = endpoint.sessions.get(address);
    if (session === undefined) {
      this.#checkLimit();
      const added = this.#registry.addSession(endpoint, address, desired.peerPort, desired.timers);
      this.addedSessions.add(added);
      this.#named.set(added, index);
      return added;
    }
    const differing = differences(this.changedSessions.get(session) ?? session, desired);
    if (differing.length > 0) {
      if (this.#named.has(session)) throw sharedError(peer, differing);
      this.changedSessions.set(session, desired);
    }
    if (!this.#named.has(session)) this.#named.set(session, index);
    return session;
  }

  #checkLimit(): void {
    const limit = maxSessions(this.#config);
    const needed = this.#registry.sessionCount + 1;
    if (needed <= limit) return;
    const message = `${needed} sessions are more than ${limit}, half of \`maxEvents\` (${this.#config.maxEvents}): set \`maxEvents\` to at least ${needed * 2}`;
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

/** A socket that is bound to one address receives nothing for another. */
function checkSource(path: string, address: string, { bindIP, udp }: ResolvedConfig): void {
  if (udp !== undefined || bindIP === '0.0.0.0' || bindIP === address) return;
  throw new LivenessError('EADDRNOTAVAIL', expected(path, `${bindIP}, which the manager is bound to (\`bindIP\`)`, address));
}

function timersOf(options: SessionTimerOptions, config: ResolvedConfig): SessionTimers {
  const { txMin = config.txMin, rxMin = config.rxMin, detectMult = config.detectMult } = options;
  return { txMinUs: toMicros(txMin), rxMinUs: toMicros(rxMin), detectMult };
}

function areSameTimers(left: SessionTimers, right: SessionTimers): boolean {
  return left.txMinUs === right.txMinUs && left.rxMinUs === right.rxMinUs && left.detectMult === right.detectMult;
}

/** The names of the options in which two sets of parameters differ. */
function differences({ timers, peerPort }: SessionParameters, desired: SessionParameters): string[] {
  if (peerPort === desired.peerPort && areSameTimers(timers, desired.timers)) return [];
  return [
    timers.txMinUs !== desired.timers.txMinUs ? 'txMin' : '',
    timers.rxMinUs !== desired.timers.rxMinUs ? 'rxMin' : '',
    timers.detectMult !== desired.timers.detectMult ? 'detectMult' : '',
    peerPort !== desired.peerPort ? 'port' : '',
  ].filter((name) => name !== '');
}

function sharedError(peer: Peer, differing: readonly string[]): ConfigError {
  const message = `The session (${formatPeer(peer)}) is shared with other registrations and has another ${differing.join(', ')}`;
  return new ConfigError([{ path: differing[0] ?? '', message }]);
}

function pathError({ iface, localIP }: ManagedSession, fault: PathFault, path: string): LivenessError {
  if (fault.code === 'ERR_NO_SUCH_INTERFACE') {
    const what = fault.realName === undefined ? 'the name of an interface of this host' : `the interface's own name, \`${fault.realName}\``;
    return new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', what, iface));
  }
  return new LivenessError(fault.code, expected(path, 'an address of this host', localIP));
}

function indistinctError({ iface, localIP, peerIP }: ManagedSession): LivenessError {
  const message = `A session between ${localIP} and ${peerIP} is on another interface than ${iface} already: only the native engine can tell them apart`;
  return new LivenessError('ERR_ENGINE_UNAVAILABLE', message);
}

function toIssue(index: number, error: unknown): RouteIssue {
  return { index, code: codeOf(error) ?? 'ERR_INVALID_ROUTE', message: messageOf(error) };
}
