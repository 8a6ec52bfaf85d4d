/** What one call of `registerRoutes` or `registerSession` will do: it is checked as a whole first, so that all or nothing is registered. */
import { familyOf, isLinkLocal, packAddress, unicastAddress } from '../base/address.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, type RouteIssue } from '../base/errors.js';
import { formatPeer, formatRoute, formatSlot, parseInterface, parseRoute, type Peer, peerOf, type Route } from '../base/route.js';
import type { Engine, PathFault, RouteId, SessionPath } from '../engine/engine.js';
import { parseBackup, type ParsedBackup } from './backup-options.js';
import type { ManagedBackup } from './managed-backup.js';
import { checkBound } from './bound-addresses.js';
import type { ResolvedConfig } from './config.js';
import type { ManagedRoute, RestoreRoute } from './managed-route.js';
import type { ManagedSession } from './managed-session.js';
import {
  NO_OPTIONS,
  type RegisterOptions,
  type RegisterSessionOptions,
  type ValidatedOptions,
  validateRegisterOptions,
  validateSessionOptions,
} from './register-options.js';
import type { RouteRegistry } from './route-registry.js';
import { differences, type ParameterSource, type SessionParameters } from './session-parameters.js';

/** A route to register, with its options. */
export interface Registration extends RegisterOptions {
  route: Route;
  iface: string;
}

/** A session to register by itself, with its options. */
export interface RegisteredSession {
  readonly peer: Peer;
  readonly options: RegisterSessionOptions | undefined;
}

/** A registration whose options may have been validated. */
export type CheckedRegistration = Registration | (ValidatedOptions & Pick<Registration, 'route' | 'iface'>);

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
  /** By the index of the registration that cannot be made. */
  readonly errors: ReadonlyMap<number, unknown>;
}

/** The checks that only the engine can make. */
export type EngineChecks = Pick<Engine, 'kind' | 'checkPaths' | 'openMultihop' | 'indistinct'>;

/** What registrations are checked against. */
export interface PlanContext {
  readonly registry: RouteRegistry;
  readonly config: ResolvedConfig;
  readonly parameters: ParameterSource;
  readonly engine: EngineChecks;
}

/**
 * Validates all registrations, against each other, the registered routes and the host; the sessions have the indexes behind those
 * of the routes, and valid peers. Without issues the new routes and sessions are in the registry afterwards; with issues the
 * registry is as before.
 */
export function planRegistration(
  registrations: readonly CheckedRegistration[],
  sessions: readonly RegisteredSession[],
  context: PlanContext,
): RegistrationPlan {
  const planner = new RegistrationPlanner(context);
  const errors = new Map<number, unknown>();
  const noting = (index: number, plan: () => void): void => {
    try {
      plan();
    } catch (error) {
      errors.set(index, error);
    }
  };
  registrations.forEach((registration, index) => noting(index, () => planner.planRoute(registration, index)));
  sessions.forEach(({ peer, options }, offset) => {
    const index = registrations.length + offset;
    noting(index, () => planner.planSession(peer, validateSessionOptions(options, context.config), index));
  });
  for (const [index, error] of planner.backupErrors()) errors.set(index, error);
  for (const [index, error] of planner.sharingErrors()) errors.set(index, error);
  for (const [index, error] of planner.engineErrors()) errors.set(index, error);
  // The sockets are not opened for a call that changes nothing.
  if (errors.size === 0) for (const [index, error] of planner.multihopErrors()) errors.set(index, error);
  if (errors.size > 0) planner.rollBack();
  else planner.renew();
  const { routes, registeredSessions, addedSessions, changedSessions, leftSessions, renewedRoutes } = planner;
  return { routes, registeredSessions, addedSessions, changedSessions, leftSessions, renewedRoutes, errors };
}

/** A registered route that is registered again. */
interface Renewal {
  readonly managed: ManagedRoute;
  readonly route: Readonly<Route>;
  readonly session: ManagedSession;
  backup: ManagedBackup | undefined;
}

/** The backup that a registration names. */
interface NamedBackup {
  readonly index: number;
  readonly managed: ManagedRoute;
  readonly backup: ParsedBackup;
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
  readonly #parameters: ParameterSource;
  readonly #engine: EngineChecks;
  readonly #addedRoutes = new Map<RouteId, ManagedRoute>();
  readonly #renewals = new Map<RouteId, Renewal>();
  /** The sessions that this call names, each with the index of the first registration that does. */
  readonly #named = new Map<ManagedSession, number>();
  /** The new sessions, each with the index of the registration that uses it, and the path of its local address there. */
  readonly #newSessions: { index: number; session: ManagedSession; path: string }[] = [];
  readonly #backups: NamedBackup[] = [];

  constructor({ registry, config, parameters, engine }: PlanContext) {
    this.#registry = registry;
    this.#config = config;
    this.#parameters = parameters;
    this.#engine = engine;
  }

  /** @throws LivenessError the first fault of the registration by itself, or against what is registered or planned */
  planRoute(registration: CheckedRegistration, index: number): void {
    if (typeof registration !== 'object' || (registration as unknown) === null) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('', 'an object with `route` and `iface`', registration));
    }
    const { route: given, iface: name, ...rest } = registration;
    const options = isEmpty(rest) ? NO_OPTIONS : rest;
    const route = parseRoute(given);
    const iface = parseInterface(name);
    const validated = validateRegisterOptions(options, this.#config);
    const peer = { iface, localIP: route.src, peerIP: peerOf(route, validated.peerIP) };
    if (peer.localIP === peer.peerIP) {
      throw new LivenessError('ERR_INVALID_ROUTE', expected('route.src', 'another address than the peer', route.src));
    }
    checkBound('route.src', route.src, this.#config);
    const occupant = this.#registry.occupant(route);
    if (occupant !== undefined) this.#checkOccupant(occupant, route, peer);
    const backup = validated.backup && parseBackup(validated.backup, route, peer);
    const session = this.#session(peer, validated, index);
    if (this.addedSessions.has(session)) this.#newSessions.push({ index, session, path: 'route.src' });
    const managed = this.#route(occupant, route, session);
    this.routes.push(managed);
    if (backup !== undefined) this.#backups.push({ index, managed, backup });
  }

  /** Finds the sessions of backups, after those of routes: a route has its say about the parameters of its session, a backup has none. */
  *backupErrors(): Iterable<[number, unknown]> {
    for (const { index, managed, backup } of this.#backups) {
      try {
        const session = backup.peer && this.#backupSession(backup.peer, index);
        const found = { iface: backup.iface, nextHop: backup.nextHop, session };
        const renewal = this.#renewals.get(managed.id);
        if (renewal === undefined) managed.setBackup(found);
        else renewal.backup = found;
      } catch (error) {
        yield [index, error];
      }
    }
  }

  #backupSession(peer: Peer, index: number): ManagedSession {
    checkBound('backup.localIP', peer.localIP, this.#config);
    const endpoint = this.#registry.endpoint(peer.iface, peer.localIP);
    const address = packAddress(peer.peerIP);
    const known = endpoint.sessions.get(address);
    if (known !== undefined) return known;
    this.#checkLimit();
    const added = this.#registry.addSession(endpoint, address, this.#parameters.for(NO_OPTIONS));
    this.addedSessions.add(added);
    this.#newSessions.push({ index, session: added, path: 'backup.localIP' });
    return added;
  }

  /** @throws LivenessError the first fault of the session by itself, or against what is registered */
  planSession(peer: Peer, options: ValidatedOptions, index: number): void {
    for (const name of ['localIP', 'peerIP'] as const) {
      const path = `peer.${name}`;
      const what = `an ${familyOf(peer[name])} unicast address`;
      if (unicastAddress(peer[name]) === undefined) throw new ConfigError([{ path, message: expected(path, what, peer[name]) }]);
    }
    if (peer.localIP === peer.peerIP) {
      throw new ConfigError([
        { path: 'peer.peerIP', message: expected('peer.peerIP', 'another address than `peer.localIP`', peer.peerIP) },
      ]);
    }
    checkBound('peer.localIP', peer.localIP, this.#config);
    const session = this.#session(peer, options, index);
    if (this.addedSessions.has(session)) this.#newSessions.push({ index, session, path: 'peer.localIP' });
    this.registeredSessions.add(session);
  }

  /** Faults that only the engine can tell. The paths of sessions that are not new were checked when those were registered. */
  *engineErrors(): Iterable<[number, LivenessError]> {
    const added = [...this.addedSessions];
    const unwatched = this.#backups.filter(({ backup }) => backup.peer === undefined);
    const endpoints: SessionPath[] = [...new Set(added.map(({ endpoint }) => endpoint)), ...unwatched.map(({ backup }) => backup)];
    const faults = new Map(this.#engine.checkPaths(endpoints).map((fault) => [endpoints[fault.index], fault]));
    const indistinct = new Set((this.#engine.indistinct?.(added) ?? []).map((index) => added[index]));
    if (faults.size === 0 && indistinct.size === 0) return;
    for (const { index, session, path } of this.#newSessions) {
      const fault = faults.get(session.endpoint);
      if (indistinct.has(session)) yield [index, indistinctError(session)];
      else if (fault !== undefined) yield [index, pathError(session, fault, path)];
    }
    for (const { index, backup } of unwatched) {
      // Only a session needs the local address there.
      const fault = faults.get(backup);
      if (fault?.code === 'ERR_NO_SUCH_INTERFACE') yield [index, pathError(backup, fault, 'backup.localIP')];
    }
  }

  /** Opens the sockets of multihop sessions before the first of them is added. */
  *multihopErrors(): Iterable<[number, unknown]> {
    const indexes = this.#newSessions.filter(({ session }) => session.multihop).map(({ index }) => index);
    if (indexes.length === 0) return;
    try {
      this.#engine.openMultihop();
    } catch (error) {
      for (const index of indexes) yield [index, error];
    }
  }

  /** Changed parameters of sessions that are shared with routes which this call does not register. */
  *sharingErrors(): Iterable<[number, ConfigError]> {
    for (const [session, desired] of this.changedSessions) {
      if (!this.#isShared(session)) continue;
      yield [this.#named.get(session) ?? 0, sharedError(session.peer, differences(session.parameters, desired))];
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

  /** Removes from the registry what the planner has added. */
  rollBack(): void {
    for (const managed of this.#addedRoutes.values()) this.#registry.removeRoute(managed);
    for (const session of this.addedSessions) this.#registry.removeSession(session);
  }

  renew(): void {
    for (const { managed, route, session, backup } of this.#renewals.values()) {
      this.renewedRoutes.set(managed, managed.restorer());
      const previous = managed.sessions;
      managed.renew(route, session, backup);
      for (const left of previous) if (!managed.sessions.includes(left)) this.leftSessions.add(left);
    }
  }

  #route(occupant: ManagedRoute | undefined, route: Readonly<Route>, session: ManagedSession): ManagedRoute {
    if (occupant === undefined) {
      const managed = this.#registry.addRoute(route, session);
      this.#addedRoutes.set(managed.id, managed);
      return managed;
    }
    this.#renewals.set(occupant.id, { managed: occupant, route, session, backup: undefined });
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
  #session(peer: Peer, options: ValidatedOptions, index: number): ManagedSession {
    const endpoint = this.#registry.endpoint(peer.iface, peer.localIP);
    const address = packAddress(peer.peerIP);
    const desired = this.#parameters.for(options);
    this.#checkEngine(desired);
    const session = endpoint.sessions.get(address);
    if (session === undefined) {
      this.#checkLimit();
      if (desired.multihop) this.#checkMultihop(peer);
      const added = this.#registry.addSession(endpoint, address, desired);
      this.addedSessions.add(added);
      this.#named.set(added, index);
      return added;
    }
    const differing = differences(this.changedSessions.get(session) ?? session.parameters, desired);
    if (differing.length > 0) {
      if (this.#named.has(session)) throw sharedError(peer, differing);
      if (differing.includes('multihop')) throw multihopChangeError(session);
      this.changedSessions.set(session, desired);
    }
    if (!this.#named.has(session)) this.#named.set(session, index);
    return session;
  }

  /** A limit of the TTL that nobody enforces would mislead. */
  #checkEngine({ minTtl }: SessionParameters): void {
    if (minTtl === undefined || this.#engine.kind === 'native') return;
    throw new LivenessError('ERR_ENGINE_UNAVAILABLE', '`minTtl` needs the native engine: Node tells no packet’s TTL');
  }

  /** @throws ConfigError if the addresses are those of a link, or of a multihop session on another interface */
  #checkMultihop(peer: Peer): void {
    const { localIP, peerIP } = peer;
    const onLink = [localIP, peerIP].find(isLinkLocal);
    if (onLink !== undefined) {
      throw multihopError(`\`multihop\` needs addresses that routers forward: ${onLink} is link-local (RFC 4291 §2.5.6)`);
    }
    const known = this.#registry.multihopSession(localIP, peerIP);
    if (known === undefined) return;
    throw multihopError(
      `A multihop session between ${localIP} and ${peerIP} is on ${known.iface} already: on the wire it has no interface, so that one on ${peer.iface} would be the same`,
    );
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

function sharedError(peer: Peer, differing: readonly string[]): ConfigError {
  const message = `The session (${formatPeer(peer)}) is shared with other registrations and has another ${differing.join(', ')}`;
  return new ConfigError([{ path: differing[0] ?? '', message }]);
}

function multihopChangeError({ peer, multihop }: ManagedSession): ConfigError {
  const [is, how] = multihop ? ['multihop', 'without'] : ['single-hop', 'with'];
  return multihopError(`The session (${formatPeer(peer)}) is ${is}: withdraw it before it is registered ${how} \`multihop\``);
}

function multihopError(message: string): ConfigError {
  return new ConfigError([{ path: 'multihop', message }]);
}

function pathError({ iface, localIP }: SessionPath, fault: PathFault, path: string): LivenessError {
  if (fault.code === 'ERR_NO_SUCH_INTERFACE') {
    const what = fault.realName === undefined ? 'the name of an interface of this host' : `the interface's own name, \`${fault.realName}\``;
    return new LivenessError('ERR_NO_SUCH_INTERFACE', expected(path === 'backup.localIP' ? 'backup.iface' : 'iface', what, iface));
  }
  return new LivenessError(fault.code, expected(path, 'an address of this host', localIP));
}

function indistinctError({ iface, localIP, peerIP }: ManagedSession): LivenessError {
  const message = `A session between ${localIP} and ${peerIP} is on another interface than ${iface} already: only the native engine can tell them apart`;
  return new LivenessError('ERR_ENGINE_UNAVAILABLE', message);
}

/** The errors of a plan, in the order of the registrations. */
export function issuesOf(errors: RegistrationPlan['errors']): RouteIssue[] {
  return [...errors]
    .sort(([left], [right]) => left - right)
    .map(([index, error]) => ({ index, code: codeOf(error) ?? 'ERR_INVALID_ROUTE', message: messageOf(error) }));
}
