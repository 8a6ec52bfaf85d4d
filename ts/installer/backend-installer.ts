/** Keeps the routes of any backend as their sessions want them. */
import { monotonicNow } from '../clock.js';
import { LivenessError, toError } from '../errors.js';
import type { RouteReaderWriter } from '../netlinker/reader-writer.js';
import { formatRoute } from '../route.js';
import type { RouteId, RouteScopeStats } from '../engine/engine.js';
import { Backoff } from './backoff.js';
import { ADOPTION_HOLD_MS, type OperationListener, type RegisteredRoute, type RouteInstaller, type RouteStatus } from './installer.js';
import { RouteCounters } from './route-counters.js';

/** How the wishes of routes are judged. */
export interface InstallerRules {
  /** Sessions move nothing: a route is installed while it is registered. */
  readonly passiveMode: boolean;
  /** A session whose peer is passive keeps its route when it goes Down. */
  readonly honorPeerAdvertisedPassive: boolean;
  /** After so many milliseconds an operation counts as failed. */
  readonly routeTimeout: number;
}

type Wish = 'installed' | 'absent' | 'as_it_is';
type Operation = 'add' | 'delete';

/** What all routes in care work with. */
interface Means {
  readonly backend: RouteReaderWriter;
  readonly rules: InstallerRules;
  readonly counters: RouteCounters;
  readonly listener: OperationListener;
}

/**
 * Per route there is one operation at a time, the latest wish wins, and what failed is retried. A backend that never
 * answers costs no other route anything: after the timeout the next operation may go ahead, and whenever the late answer
 * comes, the wish is applied once more, so that the end is right whichever took effect last.
 */
export class BackendInstaller implements RouteInstaller {
  readonly #means: Means;
  readonly #cares = new Map<RouteId, Care>();

  constructor(backend: RouteReaderWriter, rules: InstallerRules, listener: OperationListener) {
    this.#means = { backend, rules, listener, counters: new RouteCounters() };
  }

  add(registered: readonly RegisteredRoute[]): void {
    for (const one of registered) this.#add(one);
  }

  changed(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered.id);
    care?.advance();
    // Nothing moves: what the session does is seen when it is done.
    if (this.#means.rules.passiveMode) care?.noteConvergence(registered.session.turn?.atUs);
  }

  #add(registered: RegisteredRoute): void {
    const known = this.#cares.get(registered.id);
    if (known === undefined) {
      this.#cares.set(registered.id, new Care(registered, this.#means));
    } else {
      known.keep();
    }
    this.changed(registered);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    return this.#cares.get(registered.id)?.nextOutcome() ?? Promise.resolve();
  }

  async remove(registered: RegisteredRoute): Promise<void> {
    const care = this.#cares.get(registered.id);
    if (care === undefined) return;
    await care.leave();
    if (care.gone) this.#forget(registered, care);
  }

  drop(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered.id);
    if (care === undefined) return;
    care.stop();
    this.#forget(registered, care);
  }

  adopt(registered: RegisteredRoute): void {
    this.#cares.get(registered.id)?.adopt();
  }

  status(registered: RegisteredRoute): RouteStatus {
    const care = this.#cares.get(registered.id);
    return { installed: care?.installed === true, lastError: care?.lastError };
  }

  stats(): RouteScopeStats[] {
    return this.#means.counters.stats();
  }

  close(): void {
    for (const care of this.#cares.values()) care.stop();
    this.#cares.clear();
  }

  #forget(registered: RegisteredRoute, care: Care): void {
    this.#cares.delete(registered.id);
    if (care.installed === true) this.#means.counters.installed(registered, -1);
  }
}

/** One route in care. */
class Care {
  lastError: Error | undefined = undefined;
  gone = false;
  readonly #registered: RegisteredRoute;
  readonly #means: Means;
  #installed: boolean | undefined = false;
  /** The turn of the session whose convergence was counted last. */
  #counted: number | undefined;
  #running: symbol | undefined = undefined;
  #leaving = false;
  #stopped = false;
  /** What few routes need comes into being when it is needed. */
  #backoff: Backoff | undefined = undefined;
  /** Runs while an adopted route waits for its session. */
  #hold: NodeJS.Timeout | undefined = undefined;
  #waiting: ((outcome: Error | undefined) => void)[] | undefined = undefined;
  #departure: (() => void)[] | undefined = undefined;

  constructor(registered: RegisteredRoute, means: Means) {
    this.#registered = registered;
    this.#means = means;
    // A session that is Up already converged for the routes that it had then.
    this.#counted = registered.session.turn?.startUs;
  }

  /** `undefined` where an operation was given up on and nobody knows. */
  get installed(): boolean | undefined {
    return this.#installed;
  }

  set installed(installed: boolean | undefined) {
    const change = Number(installed === true) - Number(this.#installed === true);
    this.#installed = installed;
    if (change === 1 || change === -1) this.#means.counters.installed(this.#registered, change);
  }

  /** Counts, once, how long the session's newest turn took to reach the route. */
  noteConvergence(atUs: number | undefined): void {
    const { turn, up } = this.#registered.session;
    if (turn === undefined || atUs === undefined || turn.startUs === this.#counted) return;
    this.#counted = turn.startUs;
    this.#means.counters.converged(this.#registered, up, (atUs - turn.startUs) / 1_000_000);
  }

  /** Starts what is wanted, unless something is running: then it is looked at again when that has ended. */
  advance(): void {
    if (this.#registered.session.up) this.#endHold();
    if (this.#running !== undefined || this.#stopped) return;
    const operation = this.#wanted();
    if (operation !== undefined) {
      void this.#run(operation);
      return;
    }
    this.#backoff?.cancel();
    // Nothing is wanted: a failure to do what was wanted before is of no more interest.
    this.lastError = undefined;
    if (this.#leaving) this.#depart();
  }

  adopt(): void {
    if (this.#running !== undefined || this.#stopped || this.#leaving || this.installed === true) return;
    this.installed = true;
    this.#hold = setTimeout(() => {
      this.#hold = undefined;
      this.advance();
    }, ADOPTION_HOLD_MS).unref();
    this.advance();
  }

  keep(): void {
    this.#leaving = false;
    this.gone = false;
    // Whoever waited for the withdrawal was overtaken by a registration.
    this.#answerDeparture();
  }

  leave(): Promise<void> {
    this.#leaving = true;
    const left = new Promise<void>((resolve) => (this.#departure ??= []).push(resolve));
    this.advance();
    return left;
  }

  stop(): void {
    this.#stopped = true;
    this.#backoff?.cancel();
    this.#endHold();
    this.#answerDeparture();
  }

  nextOutcome(): Promise<void> {
    if (this.#running === undefined && this.#wanted() === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      (this.#waiting ??= []).push((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  #wish(): Wish {
    const { noUninstall, adminDown, session } = this.#registered;
    const withdrawn = noUninstall ? 'as_it_is' : 'absent';
    if (this.#leaving || adminDown) return withdrawn;
    if (session.up || this.#means.rules.passiveMode) return 'installed';
    if (this.#hold !== undefined) return 'as_it_is';
    return this.#means.rules.honorPeerAdvertisedPassive && session.peerPassive ? 'as_it_is' : withdrawn;
  }

  #wanted(): Operation | undefined {
    const wish = this.#wish();
    if (wish === 'installed') return this.installed === true ? undefined : 'add';
    return wish === 'absent' && this.installed !== false ? 'delete' : undefined;
  }

  async #run(operation: Operation): Promise<void> {
    const { route } = this.#registered;
    const run = Symbol(operation);
    this.#running = run;
    this.#backoff?.cancel();
    const began = monotonicNow();
    // Also what throws at once is a failure of this route alone.
    const answer = Promise.resolve(route).then((it) =>
      operation === 'add' ? this.#means.backend.routeAdd(it) : this.#means.backend.routeDelete(it),
    );
    const outcome = await within(answer, this.#means.rules.routeTimeout);
    if (outcome === TIMED_OUT) this.#awaitLate(answer);
    if (this.#stopped) return;
    this.#running = undefined;
    const error = outcome === TIMED_OUT ? timeoutError(operation, this.#registered, this.#means.rules.routeTimeout) : outcome.error;
    if (error === undefined) this.installed = operation === 'add';
    else if (outcome === TIMED_OUT) this.installed = undefined;
    this.lastError = error;
    this.#means.counters.answered(this.#registered, operation, error === undefined);
    if (error === undefined && this.#followsSession(operation)) this.noteConvergence(monotonicNow() * 1_000);
    this.#report(operation, error, monotonicNow() - began);
    if (error === undefined) {
      this.#backoff?.succeeded();
      this.advance();
    } else if (this.#wanted() === operation) {
      this.#backoff ??= new Backoff();
      this.#backoff.retry(() => this.advance());
    } else {
      this.advance();
    }
  }

  /** Whether it is the session's turn that asked for an operation. */
  #followsSession(operation: Operation): boolean {
    const { session, adminDown } = this.#registered;
    return !this.#means.rules.passiveMode && !this.#leaving && !adminDown && session.up === (operation === 'add');
  }

  /** When the answer comes after all, it may have undone what was done meanwhile. */
  #awaitLate(answer: Promise<void>): void {
    const settled = (): void => {
      this.installed = undefined;
      this.advance();
    };
    answer.then(settled, settled);
  }

  #report(op: Operation, error: Error | undefined, duration: number): void {
    const { route, iface } = this.#registered;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.forEach((answer) => answer(error));
    this.#means.listener({ route, iface, op, ok: error === undefined, duration, ...(error === undefined ? {} : { error }) });
  }

  #endHold(): void {
    clearTimeout(this.#hold);
    this.#hold = undefined;
  }

  #depart(): void {
    this.gone = true;
    this.#answerDeparture();
  }

  #answerDeparture(): void {
    const departure = this.#departure;
    this.#departure = undefined;
    departure?.forEach((answer) => answer());
  }
}

const TIMED_OUT = Symbol('timed out');

/** How a promise ends, or that it did not in time. */
async function within(promise: Promise<void>, milliseconds: number): Promise<{ error: Error | undefined } | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(resolve, milliseconds, TIMED_OUT);
    timer.unref();
  });
  const settled = promise.then(
    () => ({ error: undefined }),
    (thrown: unknown) => ({ error: toError(thrown) }),
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}

function timeoutError(operation: Operation, { route }: RegisteredRoute, milliseconds: number): Error {
  const what = operation === 'add' ? 'adding' : 'deleting';
  return new LivenessError('ERR_ROUTE_BACKEND', `The backend did not answer within ${milliseconds} ms when ${what} ${formatRoute(route)}`);
}
