/** Routes that the engine moves by itself: it is told what there is, it tells what became of it, and it is told to try again. */
import type { ArmedRoute, KernelRoute, RouteArming, RouteId, RouteOutcome, SessionId } from '../engine/engine.js';
import { closedError, LivenessError } from '../base/errors.js';
import { monotonicNow } from '../base/clock.js';
import { formatRoute } from '../base/route.js';
import { Backoff } from './backoff.js';
import {
  type InstallerWarning,
  type OperationListener,
  type RegisteredRoute,
  type RouteInstaller,
  type RouteStatus,
  warnOfContention,
  UNKNOWN,
} from './installer.js';
import { Waiters } from './waiters.js';

/** One armed route. What few routes need comes into being when it is needed. */
class Armed implements ArmedRoute, RouteStatus {
  readonly registered: RegisteredRoute;
  generation = 0;
  /** The generation in which it was adopted last. */
  adoptedIn = 0;
  installed = false;
  leaving = false;
  lastError: Error | undefined = undefined;
  /** In microseconds of CLOCK_MONOTONIC. */
  restoreAtUs: number | undefined = undefined;
  /** That it is taken away again and again was told. */
  isContended = false;
  backoff: Backoff | undefined = undefined;
  #departures: Waiters<void> | undefined = undefined;
  #adoptions: Waiters<boolean> | undefined = undefined;

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

  get restoreAt(): Date | undefined {
    return wallTime(this.restoreAtUs);
  }

  /** Resolves when the route is gone, or registered again. */
  departure(): Promise<void> {
    return (this.#departures ??= new Waiters()).wait();
  }

  /** Resolves with whether the route was found. */
  adoption(): Promise<boolean> {
    return (this.#adoptions ??= new Waiters()).wait();
  }

  depart(): void {
    this.#departures?.resolve();
  }

  found(): void {
    this.#adoptions?.resolve(this.installed);
  }

  /** Nothing more is heard of it. */
  end(error: Error): void {
    this.backoff?.cancel();
    this.#departures?.reject(error);
    this.#adoptions?.reject(error);
  }
}

/**
 * The engine's own thread is the only writer of an armed route. Whether it has to be in the kernel is decided there, on
 * the session's transition; from here come registration, withdrawal, admin state, and the retries after a failure.
 */
export class ArmedInstaller implements RouteInstaller {
  readonly #arming: RouteArming;
  readonly #listener: OperationListener;
  readonly #warn: InstallerWarning;
  readonly #routes = new Map<RouteId, Armed>();

  constructor(arming: RouteArming, listener: OperationListener, warn: InstallerWarning = () => undefined) {
    this.#arming = arming;
    this.#listener = listener;
    this.#warn = warn;
  }

  add(registered: readonly RegisteredRoute[]): void {
    const routes = registered.map((one) => this.#routes.get(one.id) ?? this.#newRoute(one));
    for (const route of routes) {
      route.leaving = false;
      route.depart();
    }
    this.#arm(routes);
  }

  changed(registered: RegisteredRoute): void {
    const route = this.#routes.get(registered.id);
    if (route !== undefined && !route.leaving) this.#arm([route]);
  }

  /** Armed routes are installed by their sessions, not by registration: there is nothing to wait for. */
  confirmed(): Promise<void> {
    return Promise.resolve();
  }

  remove(registered: RegisteredRoute): Promise<void> {
    const route = this.#routes.get(registered.id);
    if (route === undefined) return Promise.resolve();
    const gone = route.departure();
    // A second order for what is gone already would find nothing and be answered by nobody.
    if (!route.leaving) this.#disarm(route);
    route.leaving = true;
    return gone;
  }

  abandon(registered: RegisteredRoute): void {
    // The manager's end is no failure of it.
    this.remove(registered).catch(() => undefined);
  }

  adopt(registered: RegisteredRoute): Promise<boolean> {
    const route = this.#routes.get(registered.id);
    if (route === undefined || route.leaving) return Promise.resolve(false);
    if (route.installed) return Promise.resolve(true);
    const adopted = route.adoption();
    this.#arm([route], true);
    route.adoptedIn = route.generation;
    return adopted;
  }

  /** The engine hears of it from the kernel. */
  disturbed(): void {
    return undefined;
  }

  status(registered: RegisteredRoute): RouteStatus {
    return this.#routes.get(registered.id) ?? UNKNOWN;
  }

  stats(): [] {
    return [];
  }

  close(): void {
    for (const route of this.#routes.values()) route.end(closedError());
    this.#routes.clear();
  }

  /** Takes in what the engine has to tell. */
  outcomes(outcomes: readonly RouteOutcome[]): void {
    for (const outcome of outcomes) {
      const route = this.#routes.get(outcome.id);
      if (route !== undefined) this.#outcome(route, outcome);
    }
  }

  #newRoute(registered: RegisteredRoute): Armed {
    const route = new Armed(registered);
    this.#routes.set(route.id, route);
    return route;
  }

  /** However many: one crossing. */
  #arm(routes: readonly Armed[], adopted = false): void {
    for (const route of routes) route.generation += 1;
    this.#arming.arm(routes, adopted);
  }

  #disarm(route: Armed): void {
    route.generation += 1;
    this.#arming.disarm([{ id: route.id, generation: route.generation, remove: true }]);
  }

  #outcome(route: Armed, outcome: RouteOutcome): void {
    const error = outcome.ok ? undefined : failure(route.registered, outcome);
    this.#noteContention(route, outcome);
    // What an ended registration leaves in the kernel is not that of the one that follows.
    route.installed = outcome.installed && !outcome.gone;
    if (outcome.op !== 'none' || !outcome.ok) route.lastError = error;
    if (outcome.op !== 'none') this.#report(route, outcome, error);
    if (outcome.ok) route.backoff?.succeeded();
    // What was said of an older generation is no answer; what is ordered meanwhile is not waited for.
    if (outcome.generation >= route.adoptedIn) route.found();
    if (outcome.gone && outcome.generation === route.generation) {
      this.#routes.delete(route.id);
      route.backoff?.cancel();
      route.depart();
    } else if (!outcome.ok) {
      route.backoff ??= new Backoff();
      route.backoff.retry(() => this.#retry(route, outcome));
    }
  }

  /** A loss without a delay is the first after some peace. */
  #noteContention(route: Armed, { op, ok, installed, restoreAtUs }: RouteOutcome): void {
    const isLoss = op === 'none' && ok && route.installed && !installed;
    route.restoreAtUs = restoreAtUs;
    if (!isLoss) return;
    if (restoreAtUs !== undefined && !route.isContended) warnOfContention(this.#warn, route.registered);
    route.isContended = restoreAtUs !== undefined;
  }

  #retry(route: Armed, { code }: RouteOutcome): void {
    // No thread has taken the orders: they are given anew.
    if (code === 'ERR_NETLINK_UNAVAILABLE' && !route.leaving) this.#arm([route]);
    else this.#arming.retry([{ id: route.id, generation: route.generation }]);
  }

  #report({ registered }: Armed, outcome: RouteOutcome, error: Error | undefined): void {
    const { route, iface } = registered;
    const op = outcome.op === 'add' ? 'add' : 'delete';
    this.#listener({ route, iface, op, ok: outcome.ok, duration: outcome.durationUs / 1_000, ...(error === undefined ? {} : { error }) });
  }
}

function wallTime(atUs: number | undefined): Date | undefined {
  return atUs === undefined ? undefined : new Date(Date.now() + atUs / 1_000 - monotonicNow());
}

function failure({ route }: RegisteredRoute, { op, code, message }: RouteOutcome): Error {
  const what = { add: 'added', delete: 'deleted', none: 'looked for' }[op];
  return new LivenessError(code ?? 'ERR_ROUTE_BACKEND', `${formatRoute(route)} could not be ${what}: ${message ?? 'the kernel refused'}`);
}
