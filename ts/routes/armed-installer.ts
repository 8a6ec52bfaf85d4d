/** Passes kernel routes to the engine, which adds and deletes them itself, and reports what the engine answers. */
import type { ArmedBackup, ArmedRoute, Damping, KernelRoute, RouteArming, RouteId, RouteOutcome, SessionId } from '../engine/engine.js';
import { closedError, LivenessError } from '../base/errors.js';
import { monotonicNow, toDate } from '../base/clock.js';
import { formatRoute } from '../base/route.js';
import { Backoff } from './backoff.js';
import {
  type InstallerWarning,
  type Leg,
  type OperationListener,
  type RegisteredRoute,
  type RouteInstaller,
  type RouteStatus,
  type SuppressionListener,
  toOperation,
  warnOfContention,
  UNKNOWN,
} from './installer.js';
import { Waiters } from './waiters.js';

/** What few routes need: something failed, somebody waits, or a predecessor left the route. */
class Rare {
  /** The generation of the last adoption. */
  adoptedIn = 0;
  lastError: Error | undefined = undefined;
  /** In microseconds of CLOCK_MONOTONIC. */
  restoreAtUs: number | undefined = undefined;
  /** In microseconds of CLOCK_MONOTONIC. */
  suppressedUntilUs: number | undefined = undefined;
  /** A warning of contention was logged, and the route has not been quiet since. */
  isContended = false;
  leg: Leg = 'primary';
  backoff: Backoff | undefined = undefined;
  removals: Waiters<void> | undefined = undefined;
  adoptions: Waiters<boolean> | undefined = undefined;
}

/** The state of one armed route. There may be tens of thousands: what few need is an object apart, made when it is needed. */
class ArmedEntry implements ArmedRoute, RouteStatus {
  readonly registered: RegisteredRoute;
  generation = 0;
  installed = false;
  withdrawing = false;
  rare: Rare | undefined = undefined;

  constructor(registered: RegisteredRoute) {
    this.registered = registered;
  }

  get id(): RouteId {
    return this.registered.id;
  }

  get sessionId(): SessionId {
    return this.registered.session.id;
  }

  get route(): KernelRoute {
    return this.registered;
  }

  get noUninstall(): boolean {
    return this.registered.noUninstall;
  }

  get adminDown(): boolean {
    return this.registered.adminDown;
  }

  get keepOnPeerAdminDown(): boolean {
    return this.registered.session.keepsOnPeerAdminDown;
  }

  get holdUpMs(): number {
    return this.registered.session.holdUpMs;
  }

  get damping(): Damping | undefined {
    return this.registered.session.damping;
  }

  get backup(): ArmedBackup | undefined {
    const { backup } = this.registered;
    return backup && { iface: backup.iface, nextHop: backup.nextHop, sessionId: backup.session?.id };
  }

  get leg(): Leg {
    return this.rare?.leg ?? 'primary';
  }

  get lastError(): Error | undefined {
    return this.rare?.lastError;
  }

  get restoreAt(): Date | undefined {
    return wallTime(this.rare?.restoreAtUs);
  }

  get suppressedUntil(): Date | undefined {
    return wallTime(this.rare?.suppressedUntilUs);
  }

  get needed(): Rare {
    return (this.rare ??= new Rare());
  }

  /** Resolves when the route is gone, or registered again. */
  removal(): Promise<void> {
    return (this.needed.removals ??= new Waiters()).wait();
  }

  /** Resolves with whether the route exists. */
  adoption(): Promise<boolean> {
    return (this.needed.adoptions ??= new Waiters()).wait();
  }

  removed(): void {
    this.rare?.removals?.resolve();
  }

  resolveAdoption(): void {
    this.rare?.adoptions?.resolve(this.installed);
  }

  /** Rejects pending promises: the manager closes. */
  end(error: Error): void {
    this.rare?.backoff?.cancel();
    this.rare?.removals?.reject(error);
    this.rare?.adoptions?.reject(error);
  }
}

/**
 * The engine's thread is the only writer of an armed route, and decides on each transition of its session whether the kernel
 * has to hold the route. This class passes on registrations, withdrawals and admin states, and orders retries.
 */
export class ArmedInstaller implements RouteInstaller {
  readonly #arming: RouteArming;
  readonly #listener: OperationListener;
  readonly #warn: InstallerWarning;
  readonly #routes = new Map<RouteId, ArmedEntry>();
  readonly #retrying = new Set<ArmedEntry>();
  readonly #suppressed = new Set<ArmedEntry>();
  readonly #onBackup = new Set<ArmedEntry>();
  readonly #told: SuppressionListener;

  constructor(
    arming: RouteArming,
    listener: OperationListener,
    warn: InstallerWarning = () => undefined,
    suppressed: SuppressionListener = () => undefined,
  ) {
    this.#arming = arming;
    this.#listener = listener;
    this.#warn = warn;
    this.#told = suppressed;
  }

  add(registered: readonly RegisteredRoute[]): void {
    const routes = registered.map((route) => this.#routes.get(route.id) ?? this.#newRoute(route));
    for (const route of routes) {
      route.withdrawing = false;
      route.removed();
    }
    this.#arm(routes);
  }

  changed(registered: RegisteredRoute): void {
    const route = this.#routes.get(registered.id);
    if (route !== undefined && !route.withdrawing) this.#arm([route]);
  }

  /** ArmedEntry routes are installed by their sessions, not by registration: there is nothing to wait for. */
  confirmed(): Promise<void> {
    return Promise.resolve();
  }

  remove(registered: RegisteredRoute): Promise<void> {
    const route = this.#routes.get(registered.id);
    if (route === undefined) return Promise.resolve();
    const gone = route.removal();
    // The engine would not answer a second order for a route that it has forgotten already.
    if (!route.withdrawing) this.#disarm(route);
    route.withdrawing = true;
    return gone;
  }

  abandon(registered: RegisteredRoute): void {
    // No caller waits for the result, which may be ERR_CLOSED.
    this.remove(registered).catch(() => undefined);
  }

  adopt(registered: RegisteredRoute): Promise<boolean> {
    const route = this.#routes.get(registered.id);
    if (route === undefined || route.withdrawing) return Promise.resolve(false);
    if (route.installed) return Promise.resolve(true);
    const adopted = route.adoption();
    this.#arm([route], true);
    route.needed.adoptedIn = route.generation;
    return adopted;
  }

  /** Does nothing: the kernel notifies the engine. */
  disturbed(): void {
    return undefined;
  }

  status(registered: RegisteredRoute): RouteStatus {
    return this.#routes.get(registered.id) ?? UNKNOWN;
  }

  setMaintenance(sessions: readonly SessionId[] | undefined, active: boolean): void {
    this.#arming.setMaintenance(sessions, active);
  }

  *retrying(): Iterable<RegisteredRoute> {
    for (const { registered } of this.#retrying) yield registered;
  }

  *suppressed(): Iterable<RegisteredRoute> {
    for (const { registered } of this.#suppressed) yield registered;
  }

  *onBackup(): Iterable<RegisteredRoute> {
    for (const { registered } of this.#onBackup) yield registered;
  }

  stats(): [] {
    return [];
  }

  close(): void {
    for (const route of this.#routes.values()) route.end(closedError());
    this.#routes.clear();
    this.#retrying.clear();
    this.#suppressed.clear();
    this.#onBackup.clear();
  }

  /** Handles the engine's answers. */
  outcomes(outcomes: readonly RouteOutcome[]): void {
    for (const outcome of outcomes) {
      const route = this.#routes.get(outcome.id);
      if (route !== undefined) this.#outcome(route, outcome);
    }
  }

  #newRoute(registered: RegisteredRoute): ArmedEntry {
    const route = new ArmedEntry(registered);
    this.#routes.set(route.id, route);
    return route;
  }

  /** One call of the addon for all routes. */
  #arm(routes: readonly ArmedEntry[], adopted = false): void {
    for (const route of routes) route.generation += 1;
    this.#arming.arm(routes, adopted);
  }

  #disarm(route: ArmedEntry): void {
    route.generation += 1;
    this.#arming.disarm([{ id: route.id, generation: route.generation, remove: true }]);
  }

  #outcome(route: ArmedEntry, outcome: RouteOutcome): void {
    const error = outcome.ok ? undefined : failure(route.registered, outcome);
    this.#noteContention(route, outcome);
    this.#noteSuppression(route, outcome);
    // A route that an ended registration leaves in the kernel does not belong to the next registration.
    route.installed = outcome.installed && !outcome.gone;
    this.#noteLeg(route, outcome.leg);
    if (error !== undefined) route.needed.lastError = error;
    else if (outcome.op !== 'none' && route.rare !== undefined) route.rare.lastError = undefined;
    if (outcome.op !== 'none') this.#report(route, outcome, error);
    if (outcome.ok) route.rare?.backoff?.succeeded();
    this.#retrying.delete(route);
    // An answer of the adoption's generation or a later one settles the adoption.
    if (outcome.generation >= (route.rare?.adoptedIn ?? 0)) route.resolveAdoption();
    if (outcome.gone && outcome.generation === route.generation) {
      this.#routes.delete(route.id);
      route.rare?.backoff?.cancel();
      route.removed();
    } else if (!outcome.ok) {
      this.#retrying.add(route);
      route.needed.backoff ??= new Backoff();
      route.needed.backoff.retry(() => this.#retry(route, outcome));
    }
  }

  /** A loss without a delay is the first one after a quiet time. */
  #noteContention(route: ArmedEntry, { op, ok, installed, restoreAtUs }: RouteOutcome): void {
    const isLoss = op === 'none' && ok && route.installed && !installed;
    if (restoreAtUs === undefined && route.rare === undefined) return;
    const { needed } = route;
    needed.restoreAtUs = restoreAtUs;
    if (!isLoss) return;
    if (restoreAtUs !== undefined && !needed.isContended) warnOfContention(this.#warn, route.registered);
    needed.isContended = restoreAtUs !== undefined;
  }

  #noteSuppression(route: ArmedEntry, { suppressedUntilUs, gone }: RouteOutcome): void {
    if (suppressedUntilUs === undefined || gone) {
      this.#suppressed.delete(route);
      if (route.rare !== undefined) route.rare.suppressedUntilUs = undefined;
      return;
    }
    const isNew = route.rare?.suppressedUntilUs !== suppressedUntilUs;
    route.needed.suppressedUntilUs = suppressedUntilUs;
    this.#suppressed.add(route);
    if (isNew) this.#told(route.registered, toDate(suppressedUntilUs));
  }

  #noteLeg(route: ArmedEntry, leg: Leg): void {
    if (route.leg !== leg) route.needed.leg = leg;
    if (leg === 'backup' && route.installed) this.#onBackup.add(route);
    else this.#onBackup.delete(route);
  }

  #retry(route: ArmedEntry, { code }: RouteOutcome): void {
    this.#retrying.delete(route);
    // The route thread could not be started, so the order was lost: arm again.
    if (code === 'ERR_NETLINK_UNAVAILABLE' && !route.withdrawing) this.#arm([route]);
    else this.#arming.retry([{ id: route.id, generation: route.generation }]);
  }

  #report({ registered }: ArmedEntry, outcome: RouteOutcome, error: Error | undefined): void {
    const { route, iface } = registered;
    const op = outcome.op === 'add' ? 'add' : 'delete';
    this.#listener(toOperation({ route, iface, op, leg: outcome.leg, duration: outcome.durationUs / 1_000 }, error));
  }
}

function wallTime(atUs: number | undefined): Date | undefined {
  return atUs === undefined ? undefined : new Date(Date.now() + atUs / 1_000 - monotonicNow());
}

function failure({ route }: RegisteredRoute, { op, code, message }: RouteOutcome): Error {
  const what = { add: 'added', delete: 'deleted', none: 'looked for' }[op];
  return new LivenessError(code ?? 'ERR_ROUTE_BACKEND', `${formatRoute(route)} could not be ${what}: ${message ?? 'the kernel refused'}`);
}
