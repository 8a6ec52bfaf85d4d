/** Registers and withdraws routes, and starts, changes and ends their sessions. */
import { familyOf } from '../base/address.js';
import { closedError, codeOf, LivenessError, messageOf, RoutesError, toError } from '../base/errors.js';
import { type Environment, SYSTEM } from '../base/environment.js';
import type { Logger } from '../base/logger.js';
import { formatRoute, parseInterface, parseRoute, type Peer, type Route } from '../base/route.js';
import { TIMED_OUT, within } from '../base/timeout.js';
import type { Engine, SessionId } from '../engine/engine.js';
import type { RouteInstaller } from '../routes/installer.js';
import { BackendCalls } from './backend-calls.js';
import { explained } from './bind-failure.js';
import { boundAddresses } from './bound-addresses.js';
import type { ResolvedConfig } from './config.js';
import { LeftoverRoutes } from './leftover-routes.js';
import type { ManagedRoute } from './managed-route.js';
import type { ManagedSession } from './managed-session.js';
import type { RegisterSessionOptions } from './register-options.js';
import {
  issuesOf,
  type PlanContext,
  planRegistration,
  type CheckedRegistration,
  type RegisteredSession,
  type RegistrationPlan,
} from './registration-plan.js';
import { RouteRegistry } from './route-registry.js';
import { ParameterSource, type SessionParameters } from './session-parameters.js';

/** A registered route, by the names that it was registered under. */
export interface RouteRef {
  route: Route;
  iface: string;
}

export interface RouteManagerDependencies {
  readonly engine: Engine;
  readonly installer: RouteInstaller;
  readonly config: ResolvedConfig;
  readonly log: Logger;
  readonly environment: Environment;
  /** @throws LivenessError `ERR_CLOSED` */
  readonly assertOpen: () => void;
  /** A session with the passive role was registered. */
  readonly onPassive: () => void;
  /** A session has ended. */
  readonly onSessionEnd: (id: SessionId) => void;
}

export class RouteManager {
  readonly registry = new RouteRegistry();
  readonly leftovers: LeftoverRoutes;
  readonly #dependencies: RouteManagerDependencies;
  readonly #calls: BackendCalls;
  readonly #planContext: PlanContext;

  constructor(dependencies: RouteManagerDependencies) {
    const { engine, installer, config, log, environment, assertOpen } = dependencies;
    this.#dependencies = dependencies;
    this.#calls = new BackendCalls(config.routeTimeout, environment);
    const { registry } = this;
    this.#planContext = { registry, config, parameters: new ParameterSource(config), engine };
    const families = new Set(boundAddresses(config).map(familyOf));
    const { netlinker: backend } = config;
    this.leftovers = new LeftoverRoutes({ backend, engine, calls: this.#calls, installer, registry, log, families, assertOpen });
  }

  /**
   * Validates all routes and sessions, then registers all or none. `pickError` chooses one of the errors by index to throw as it is;
   * the sessions have the indexes behind those of the routes. `outOfService` are the indexes of routes that begin so.
   *
   * @throws RoutesError, or what `pickError` returns
   */
  async register(
    registrations: readonly CheckedRegistration[],
    pickError: (errors: RegistrationPlan['errors']) => unknown,
    { sessions = [], outOfService = [] }: { sessions?: readonly RegisteredSession[]; outOfService?: readonly number[] } = {},
  ): Promise<void> {
    const { installer, config } = this.#dependencies;
    const plan = planRegistration(registrations, sessions, this.#planContext);
    if (plan.errors.size > 0) {
      const errors = await this.#explained(plan.errors);
      throw toError(pickError(errors) ?? new RoutesError(issuesOf(errors)));
    }
    const previous = new Map([...plan.changedSessions.keys()].map((session) => [session, session.parameters]));
    const kept = new Set([...plan.registeredSessions].filter(({ isRegistered }) => isRegistered));
    for (const managed of outOfService.flatMap((index) => plan.routes[index] ?? [])) managed.adminDown = true;
    this.#commit(plan);
    if (!config.passiveMode) {
      this.#endUnusedSessions(plan.leftSessions);
      return;
    }
    const revisions = plan.routes.map(({ revision }) => revision);
    const outcomes = await Promise.allSettled(plan.routes.map((managed) => installer.confirmed(managed)));
    const failed = outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected' ? [{ index, cause: outcome.reason as unknown }] : [],
    );
    if (failed.length === 0) {
      this.#endUnusedSessions(plan.leftSessions);
      return;
    }
    if (failed.some(({ cause }) => codeOf(cause) === 'ERR_CLOSED')) throw closedError();
    for (const session of plan.registeredSessions) session.isRegistered = kept.has(session);
    this.#rollBack(plan, previous, revisions);
    const failures = failed.map(({ index, cause }) => ({ index, code: 'ERR_ROUTE_BACKEND', message: messageOf(cause), cause }));
    const [first] = failures;
    if (registrations.length === 1) throw new LivenessError('ERR_ROUTE_BACKEND', first?.message ?? '', { cause: first?.cause });
    throw new RoutesError(failures, { cause: first?.cause });
  }

  /** Registers a session by itself. @throws the first fault */
  async registerSession(peer: Peer, options: RegisterSessionOptions | undefined): Promise<void> {
    await this.register([], (errors) => errors.get(0), { sessions: [{ peer, options }] });
  }

  /** The errors; those of multihop sockets whose port is taken say by whom. */
  async #explained(errors: RegistrationPlan['errors']): Promise<RegistrationPlan['errors']> {
    const taken = [...errors.values()].find((error) => codeOf(error) === 'EADDRINUSE');
    const { config, environment } = this.#dependencies;
    // A simulated host has ports of its own, which no process of this host holds.
    if (taken === undefined || environment !== SYSTEM) return errors;
    const known = await explained(taken, boundAddresses(config), config.multihopPort ?? 0);
    return new Map([...errors].map(([index, error]) => [index, error === taken ? known : error]));
  }

  /** Ends the registration of a session by itself. The session ends if no route needs it. */
  withdrawSession(peer: Peer): void {
    const session = this.registry.session(peer);
    if (session?.isRegistered !== true) return;
    session.isRegistered = false;
    this.#endUnusedSessions([session]);
  }

  /** Withdraws the given routes as far as they are registered. Rejects with the first failure, after all have ended. */
  async withdraw(routes: readonly RouteRef[]): Promise<void> {
    const { installer, config, environment } = this.#dependencies;
    const { routeTimeout } = config;
    const registered = routes.flatMap(({ route, iface }) => this.registry.route(parseInterface(iface), parseRoute(route)) ?? []);
    const outcomes = await Promise.allSettled(
      registered.map(async (managed) => {
        const { route } = managed;
        if ((await within(this.#withdraw(managed), routeTimeout, { environment })) !== TIMED_OUT) return;
        const { lastError } = installer.status(managed);
        const message = `${formatRoute(route)} was not withdrawn within ${routeTimeout} ms, retries go on: ${messageOf(lastError ?? 'no answer')}`;
        throw new LivenessError('ERR_ROUTE_BACKEND', message, { cause: lastError });
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw toError(failed.reason);
  }

  /** Takes a route out of service, or puts it back. @throws LivenessError `ERR_INVALID_ROUTE` if it is not registered */
  async setAdminDown(route: Route, iface: string, down: boolean): Promise<void> {
    const managed = this.registry.route(parseInterface(iface), parseRoute(route));
    if (managed === undefined || managed.withdrawing) {
      throw new LivenessError('ERR_INVALID_ROUTE', `${formatRoute(route)} is not registered on ${iface}`);
    }
    if (managed.adminDown === down) return Promise.resolve();
    managed.adminDown = down;
    this.#dependencies.installer.changed(managed);
    for (const session of managed.sessions) this.#updateAdminState(session);
    return Promise.resolve();
  }

  /** Withdraws every route, or those of some sessions, within `routeTimeout`, and logs if some remain. */
  async withdrawAll(isWithdrawn: (session: ManagedSession) => boolean = () => true): Promise<void> {
    const { installer, log, config, environment } = this.#dependencies;
    const { routeTimeout } = config;
    const routes = [...this.registry.routes()].filter(({ session }) => isWithdrawn(session));
    const removals = routes.map((managed) => installer.remove(managed));
    if ((await within(Promise.all(removals), routeTimeout, { environment })) !== TIMED_OUT) return;
    log.error({ routeTimeout }, 'not all routes were withdrawn in time; the remaining ones stay in the backend, unwatched');
  }

  /** Rejects whatever still waits for the backend, with `ERR_CLOSED`. */
  close(): void {
    this.#dependencies.installer.close();
    this.#calls.close();
  }

  /** Makes engine and installer do what was planned. */
  #commit({ routes, registeredSessions, addedSessions, changedSessions }: RegistrationPlan): void {
    const { engine, installer, onPassive } = this.#dependencies;
    for (const [session, parameters] of changedSessions) session.parameters = parameters;
    if (addedSessions.size > 0) engine.addSessions([...addedSessions]);
    if (changedSessions.size > 0) engine.updateSessions([...changedSessions.keys()]);
    for (const session of registeredSessions) {
      session.isRegistered = true;
      this.#updateAdminState(session);
    }
    for (const { sessions } of routes) for (const session of sessions) this.#updateAdminState(session);
    installer.add(routes);
    for (const { bfd } of [...addedSessions, ...changedSessions.keys()]) if (bfd?.passive === true) onPassive();
  }

  /** Passive mode: after a failure of the backend, restores renewed routes and sessions, and abandons new ones. */
  #rollBack(
    { routes, registeredSessions, changedSessions, leftSessions, renewedRoutes }: RegistrationPlan,
    previous: ReadonlyMap<ManagedSession, SessionParameters>,
    revisions: readonly number[],
  ): void {
    const { engine, installer } = this.#dependencies;
    const touched = new Set<ManagedSession>([...leftSessions, ...registeredSessions]);
    const restored: ManagedRoute[] = [];
    routes.forEach((managed, index) => {
      // A later registration or withdrawal of the same route takes precedence.
      if (managed.revision !== revisions[index]) return;
      for (const session of managed.sessions) touched.add(session);
      const restore = renewedRoutes.get(managed);
      if (restore === undefined) {
        this.#abandon(managed);
        return;
      }
      restore((session) => this.#sessionInPlaceOf(session));
      restored.push(managed);
      if (managed.withdrawing) this.#abandon(managed);
    });
    const resumed = restored.filter((managed) => !managed.withdrawing);
    if (resumed.length > 0) installer.add(resumed);
    for (const session of changedSessions.keys()) session.parameters = previous.get(session) ?? session.parameters;
    if (changedSessions.size > 0) engine.updateSessions([...changedSessions.keys()]);
    this.#endUnusedSessions(touched);
  }

  /** The session itself. If it has ended meanwhile: the present session with its peer, or a new one. */
  #sessionInPlaceOf(session: ManagedSession): ManagedSession {
    const { id, peer, endpoint, address, parameters } = session;
    const present = this.registry.sessionById(id) ?? this.registry.session(peer);
    if (present !== undefined) return present;
    const added = this.registry.addSession(this.registry.endpoint(endpoint.iface, endpoint.localIP), address, parameters);
    this.#dependencies.engine.addSessions([added]);
    return added;
  }

  #abandon(managed: ManagedRoute): void {
    this.#dependencies.installer.abandon(managed);
    this.registry.removeRoute(managed);
  }

  /** Ends a registration, and the session with its last route. Resolves when the backend has confirmed. */
  async #withdraw(managed: ManagedRoute): Promise<void> {
    managed.endRegistration();
    const { revision, sessions } = managed;
    const removed = this.#dependencies.installer.remove(managed);
    this.#endUnusedSessions(sessions);
    await removed;
    if (managed.revision === revision) this.registry.removeRoute(managed);
  }

  /** Ends the sessions that nothing registered needs, and updates the admin state of the others. */
  #endUnusedSessions(sessions: Iterable<ManagedSession>): void {
    for (const session of sessions) {
      if (this.registry.sessionById(session.id) === undefined) continue;
      if (session.isUsed) {
        this.#updateAdminState(session);
        continue;
      }
      this.registry.removeSession(session);
      this.#dependencies.engine.removeSessions([session.id]);
      this.#dependencies.onSessionEnd(session.id);
    }
  }

  /** A session is AdminDown when all its routes are, unless it is registered by itself. */
  #updateAdminState(session: ManagedSession): void {
    const down =
      !session.isRegistered && [...session.routes, ...session.watched].every(({ withdrawing, adminDown }) => withdrawing || adminDown);
    if (session.adminDown === down) return;
    session.adminDown = down;
    this.#dependencies.engine.setAdminDown([session.id], down);
  }
}
