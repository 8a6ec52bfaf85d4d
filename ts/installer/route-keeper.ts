/** One slot of a backend: what it is to hold, what it may hold, and the calls that are under way. */
import { monotonicNow } from '../clock.js';
import { closedError, codeOf, LivenessError, toError } from '../errors.js';
import type { PlacedRoute, RouteReaderWriter } from '../netlinker/reader-writer.js';
import { formatRoute, type Route } from '../route.js';
import { Backoff } from './backoff.js';
import { Contention } from './contention.js';
import { HOLD_MS, type OperationListener, type RegisteredRoute, type RouteStatus } from './installer.js';
import type { RetryGate } from './retry-gate.js';
import type { RouteCounters } from './route-counters.js';

/** How the wishes of routes are judged. */
export interface InstallerRules {
  /** Sessions and admin states move nothing: a route is installed while it is registered. */
  readonly passiveMode: boolean;
  /** A session whose peer is passive keeps its route when it goes Down. */
  readonly honorPeerAdvertisedPassive: boolean;
  /** After so many milliseconds a call counts as failed. */
  readonly routeTimeout: number;
}

/** What all keepers work with. */
export interface KeeperMeans {
  readonly backend: RouteReaderWriter;
  readonly rules: InstallerRules;
  readonly counters: RouteCounters;
  readonly listener: OperationListener;
  readonly gate: RetryGate;
}

type Wish = 'installed' | 'absent' | 'as_it_is';

/** A call to the backend. A replacement names the route that it takes out, too. */
interface Operation {
  readonly kind: 'add' | 'delete' | 'replace' | 'look';
  readonly placed: PlacedRoute;
  readonly former?: PlacedRoute;
}

/** A call that has not been answered. */
interface Call {
  readonly operation: Operation;
  /** A call that may undo what this one does, or the reverse, was under way at the same time: nobody knows which came last. */
  overlapped: boolean;
}

/** Errors that say that nothing was done. After any other the backend may have done it all the same. */
const REFUSALS = new Set([
  'ERR_INVALID_ROUTE',
  'ERR_ROUTE_CONFLICT',
  'EACCES',
  'EHOSTUNREACH',
  'EINVAL',
  'ENETDOWN',
  'ENETUNREACH',
  'ENODEV',
  'EPERM',
]);

/** While calls of a kind hang, the next attempt of that kind waits this long for each of them, in milliseconds. */
const WAIT_FOR_HANGING_MS = 10_000;

/**
 * The owner of a slot sees to it that there is one call at a time, that the latest wish wins, and that what failed is tried
 * again. A call that was not answered in time is given up on, and the next may go ahead; what the late answer says counts
 * only where no other call can have come between.
 */
export class RouteKeeper {
  lastError: Error | undefined = undefined;
  #registered: RegisteredRoute;
  #target: PlacedRoute;
  readonly #means: KeeperMeans;
  /** What the backend certainly holds. */
  #confirmed: PlacedRoute | undefined = undefined;
  /** What the backend may hold. Most keepers have one route here, or none. */
  #possible: readonly PlacedRoute[] = NOTHING;
  /** Whether the gauge counts it. */
  #counted = false;
  /** The turn of the session whose convergence was counted last. */
  #convergedTurn: number | undefined;
  #running: Call | undefined = undefined;
  #leaving = false;
  #gone = false;
  #stopped = false;
  /** What few routes need comes into being when it is needed. */
  #late: Set<Call> | undefined = undefined;
  #backoff: Backoff | undefined = undefined;
  #inGate = false;
  #contention: Contention | undefined = undefined;
  #restore: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined = undefined;
  /** Runs while an adopted or replaced route waits for its session. */
  #hold: NodeJS.Timeout | undefined = undefined;
  #confirmations: Settlers | undefined = undefined;
  #departures: Settlers | undefined = undefined;
  #adoption: ((holds: boolean) => void) | undefined = undefined;

  constructor(registered: RegisteredRoute, means: KeeperMeans) {
    this.#registered = registered;
    this.#target = targetOf(registered);
    this.#means = means;
    // A session that is Up already converged for the routes that it had then.
    this.#convergedTurn = registered.session.turn?.startUs;
  }

  get registered(): RegisteredRoute {
    return this.#registered;
  }

  /** The registration has ended, and the backend holds nothing of it as far as it has answered. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Calls are under way that may still change the slot. */
  get isWaiting(): boolean {
    return this.#running !== undefined || (this.#late?.size ?? 0) > 0;
  }

  get status(): RouteStatus {
    const restoreAt = this.#restore === undefined ? undefined : new Date(Date.now() + this.#restore.at - monotonicNow());
    return { installed: this.#installed, lastError: this.lastError, restoreAt };
  }

  /** Counts, once, how long the session's newest turn took to reach the route. */
  noteConvergence(atUs: number | undefined): void {
    const { turn, up } = this.#registered.session;
    if (turn === undefined || atUs === undefined || turn.startUs === this.#convergedTurn) return;
    this.#convergedTurn = turn.startUs;
    this.#means.counters.converged(this.#registered, up, (atUs - turn.startUs) / 1_000_000);
  }

  /** Starts what is wanted, unless a call is under way: then it is looked at again when that has ended. */
  advance(): void {
    if (this.#registered.session.up) this.#endHold();
    if (this.#running !== undefined || this.#stopped) return;
    const operation = this.#wanted();
    if (operation !== undefined) {
      void this.#run(operation);
      return;
    }
    this.#backoff?.cancel();
    if (this.#restore !== undefined) return;
    // Nothing is wanted: a failure to do what was wanted before is of no more interest.
    this.lastError = undefined;
    this.#confirmations = settle(this.#confirmations, undefined);
    if (this.#leaving) this.#depart();
  }

  /** Registered, or registered again, possibly as another route for the same slot. */
  keep(registered: RegisteredRoute): void {
    this.#registered = registered;
    const target = targetOf(registered);
    if (!isSame(target, this.#target)) {
      // The path that it leads over worked a moment ago: it stays while the new session begins.
      if (this.#installed && !this.#leaving) this.#startHold();
      this.#target = target;
    }
    this.#leaving = false;
    this.#gone = false;
    this.#count();
    // Whoever waited for the withdrawal was overtaken by a registration.
    this.#departures = settle(this.#departures, undefined);
  }

  /** Resolves when nothing of it is left in the backend, or when it is registered again; rejects at the end of the manager. */
  leave(): Promise<void> {
    this.#leaving = true;
    const left = new Promise<void>((resolve, reject) => (this.#departures ??= []).push({ resolve, reject }));
    this.advance();
    return left;
  }

  /** Resolves once the route is there, or nothing is wanted; rejects with the first failure, while retries go on. */
  confirmed(): Promise<void> {
    if (this.#running === undefined && this.#wanted() === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => (this.#confirmations ??= []).push({ resolve, reject }));
  }

  /**
   * Takes over what a predecessor left. Resolves with whether it is there: then it is held while its session begins anew.
   */
  adopt(): Promise<boolean> {
    if (this.#running !== undefined || this.#stopped || this.#leaving || this.#possible.length > 0) {
      return Promise.resolve(this.#installed);
    }
    this.#startHold();
    if (this.#means.backend.routeHolds !== undefined) {
      const adopted = new Promise<boolean>((resolve) => (this.#adoption = resolve));
      void this.#run({ kind: 'look', placed: this.#target });
      return adopted;
    }
    this.#noteHeld(this.#target);
    this.advance();
    return Promise.resolve(this.#confirmed !== undefined);
  }

  /** Somebody else took the route away: it is put back at once, or, where that happens again and again, after a delay. */
  lost(): void {
    if (this.#running !== undefined) {
      this.#running.overlapped = true;
      return;
    }
    if (this.#stopped || this.#confirmed === undefined) return;
    const wasInstalled = this.#installed;
    this.#noteGone(this.#confirmed);
    if (wasInstalled && this.#wish() === 'installed') this.#delayRestoration();
    this.advance();
  }

  /** Ends everything; the backend stays as it is. Who waits is told that the manager has closed. */
  stop(): void {
    this.#stopped = true;
    this.#backoff?.cancel();
    this.#endHold();
    this.#endDelay();
    this.#leaveGate();
    this.#departures = settle(this.#departures, closedError());
    this.#confirmations = settle(this.#confirmations, closedError());
    this.#answerAdoption(false);
  }

  get #installed(): boolean {
    return this.#confirmed !== undefined && isSame(this.#confirmed, this.#target);
  }

  #wish(): Wish {
    const { noUninstall, adminDown, session } = this.#registered;
    const { passiveMode, honorPeerAdvertisedPassive } = this.#means.rules;
    const withdrawn = noUninstall ? 'as_it_is' : 'absent';
    if (this.#leaving) return withdrawn;
    if (passiveMode) return 'installed';
    if (adminDown) return withdrawn;
    if (session.up) return 'installed';
    if (this.#hold !== undefined) return 'as_it_is';
    return honorPeerAdvertisedPassive && session.peerPassive ? 'as_it_is' : withdrawn;
  }

  #wanted(): Operation | undefined {
    const wish = this.#wish();
    const [first] = this.#possible;
    if (wish === 'absent') return first === undefined ? undefined : { kind: 'delete', placed: first };
    if (wish === 'as_it_is') return undefined;
    const former = this.#possible.find((placed) => !isSame(placed, this.#target));
    if (former !== undefined) {
      if (this.#means.backend.routeReplace === undefined) return { kind: 'delete', placed: former };
      return { kind: 'replace', placed: this.#target, former };
    }
    if (this.#installed || this.#restore !== undefined) return undefined;
    return { kind: 'add', placed: this.#target };
  }

  async #run(operation: Operation): Promise<void> {
    const call = this.#begin(operation);
    const began = monotonicNow();
    const { routeTimeout } = this.#means.rules;
    // Also what throws at once is a failure of this route alone.
    const answer = Promise.resolve(operation).then((it) => this.#call(it));
    const outcome = await within(answer, routeTimeout);
    if (outcome === TIMED_OUT) this.#awaitLate(call, answer);
    if (this.#stopped) return;
    this.#running = undefined;
    this.#leaveGate();
    if (outcome === TIMED_OUT && this.#isDone(operation)) {
      // An earlier call of the same kind was answered meanwhile.
      this.advance();
      return;
    }
    const error = outcome === TIMED_OUT ? timeoutError(operation, routeTimeout) : outcome.error;
    if (outcome !== TIMED_OUT) this.#note(call, outcome);
    this.#tell(operation, error, monotonicNow() - began);
    this.#goOn(operation, error);
  }

  #call({ kind, placed, former }: Operation): unknown {
    const { backend } = this.#means;
    const { route, iface } = placed;
    if (kind === 'add') return backend.routeAdd(route, iface);
    if (kind === 'delete') return backend.routeDelete(route, iface);
    if (kind === 'look') return backend.routeHolds?.(placed);
    return former === undefined ? undefined : backend.routeReplace?.(former, placed);
  }

  #begin(operation: Operation): Call {
    const call: Call = { operation, overlapped: false };
    this.#running = call;
    this.#backoff?.cancel();
    for (const late of this.#late ?? []) {
      if (conflicts(late.operation, operation)) late.overlapped = true;
    }
    if (operation.kind === 'add' || operation.kind === 'replace') this.#notePossible(operation.placed);
    return call;
  }

  /** Takes in an answer that came in time. */
  #note({ operation, overlapped }: Call, { error, value }: Answer): void {
    const { kind, placed } = operation;
    if (error === undefined) {
      if (overlapped) this.#noteUnknown(placed);
      else this.#noteDone(operation, value);
    } else if (kind !== 'look' && REFUSALS.has(codeOf(error) ?? '') && !overlapped && !this.#hasLate()) {
      if (kind !== 'delete' && !this.#isConfirmed(placed)) this.#noteGone(placed);
    } else if (kind !== 'look') {
      this.#noteUnknown(placed);
    }
  }

  #noteDone({ kind, placed, former }: Operation, value: unknown): void {
    if (kind === 'add' || (kind === 'look' && value === true)) this.#noteHeld(placed);
    else if (kind === 'delete' || kind === 'look') this.#noteGone(placed);
    else {
      if (former !== undefined) this.#noteGone(former);
      this.#noteHeld(placed);
    }
  }

  /** Reports a call that has ended, one way or the other, and tells those who wait for it. */
  #tell({ kind, placed }: Operation, error: Error | undefined, duration: number): void {
    this.lastError = error;
    if (kind === 'look') {
      this.#answerAdoption(this.#installed);
      return;
    }
    const op = kind === 'delete' ? 'delete' : 'add';
    this.#means.counters.answered(this.#registered, op, error === undefined);
    if (error === undefined && this.#followsSession(op)) this.noteConvergence(monotonicNow() * 1_000);
    if (error !== undefined || this.#installed) this.#confirmations = settle(this.#confirmations, error);
    const { route } = placed;
    const { iface } = this.#registered;
    this.#means.listener({ route, iface, op, ok: error === undefined, duration, ...(error === undefined ? {} : { error }) });
  }

  #goOn(operation: Operation, error: Error | undefined): void {
    if (this.#stopped) return;
    if (error === undefined) this.#backoff?.succeeded();
    else if (this.#wanted()?.kind === operation.kind) {
      this.#retryLater(operation);
      return;
    }
    this.advance();
  }

  #retryLater(operation: Operation): void {
    let hanging = 0;
    for (const late of this.#late ?? []) hanging += late.operation.kind === operation.kind ? 1 : 0;
    this.#backoff ??= new Backoff();
    this.#backoff.retry(() => this.#means.gate.enter(() => this.#retry()), hanging * WAIT_FOR_HANGING_MS);
  }

  #retry(): void {
    this.#inGate = true;
    if (!this.#stopped) this.advance();
    if (this.#running === undefined) this.#leaveGate();
  }

  #leaveGate(): void {
    if (!this.#inGate) return;
    this.#inGate = false;
    this.#means.gate.leave();
  }

  /** When the answer comes after all, it may have undone what was done meanwhile. */
  #awaitLate(call: Call, answer: Promise<unknown>): void {
    (this.#late ??= new Set()).add(call);
    void answer.then(
      (value) => this.#answeredLate(call, { error: undefined, value }),
      (thrown: unknown) => this.#answeredLate(call, { error: toError(thrown), value: undefined }),
    );
  }

  #answeredLate(call: Call, answer: Answer): void {
    this.#late?.delete(call);
    const { operation } = call;
    if (this.#stopped) return;
    const running = this.#running;
    if (running !== undefined && conflicts(running.operation, operation)) running.overlapped = true;
    if (call.overlapped) this.#noteUnknown(operation.placed);
    else if (answer.error === undefined) this.#noteDone(operation, answer.value);
    this.advance();
  }

  #hasLate(): boolean {
    return (this.#late?.size ?? 0) > 0;
  }

  /** Whether it is the session's turn that asked for an operation. */
  #followsSession(op: 'add' | 'delete'): boolean {
    const { session, adminDown } = this.#registered;
    return !this.#means.rules.passiveMode && !this.#leaving && !adminDown && session.up === (op === 'add');
  }

  #isDone({ kind, placed }: Operation): boolean {
    if (kind === 'delete') return !this.#possible.some((it) => isSame(it, placed));
    return this.#isConfirmed(placed);
  }

  #isConfirmed(placed: PlacedRoute): boolean {
    return this.#confirmed !== undefined && isSame(this.#confirmed, placed);
  }

  #notePossible(placed: PlacedRoute): void {
    if (!this.#possible.some((it) => isSame(it, placed))) this.#possible = [...this.#possible, placed];
  }

  #noteHeld(placed: PlacedRoute): void {
    this.#notePossible(placed);
    this.#confirmed = placed;
    this.#count();
  }

  #noteGone(placed: PlacedRoute): void {
    const left = this.#possible.filter((it) => !isSame(it, placed));
    this.#possible = left.length === 0 ? NOTHING : left;
    if (this.#isConfirmed(placed)) this.#confirmed = undefined;
    this.#count();
  }

  #noteUnknown(placed: PlacedRoute): void {
    this.#notePossible(placed);
    this.#confirmed = undefined;
    this.#count();
  }

  #count(): void {
    const counts = this.#installed && !this.#gone;
    if (counts === this.#counted) return;
    this.#counted = counts;
    this.#means.counters.installed(this.#registered, counts ? 1 : -1);
  }

  #startHold(): void {
    this.#endHold();
    this.#hold = setTimeout(() => {
      this.#hold = undefined;
      this.advance();
    }, HOLD_MS).unref();
  }

  #endHold(): void {
    clearTimeout(this.#hold);
    this.#hold = undefined;
  }

  #delayRestoration(): void {
    this.#contention ??= new Contention();
    const delay = this.#contention.lose(monotonicNow());
    this.#means.counters.lost(this.#registered, delay > 0);
    this.#endDelay();
    if (delay === 0) return;
    const timer = setTimeout(() => {
      this.#restore = undefined;
      this.advance();
    }, delay).unref();
    this.#restore = { at: monotonicNow() + delay, timer };
  }

  #endDelay(): void {
    clearTimeout(this.#restore?.timer);
    this.#restore = undefined;
  }

  #answerAdoption(holds: boolean): void {
    const answer = this.#adoption;
    this.#adoption = undefined;
    answer?.(holds);
  }

  #depart(): void {
    this.#gone = true;
    this.#count();
    this.#departures = settle(this.#departures, undefined);
  }
}

type Settlers = { readonly resolve: () => void; readonly reject: (error: Error) => void }[];

/** Settles all who wait; gives what takes the place of their list. */
function settle(waiting: Settlers | undefined, error: Error | undefined): undefined {
  for (const { resolve, reject } of waiting ?? []) {
    if (error === undefined) resolve();
    else reject(error);
  }
}

/** The same list for all that hold nothing. */
const NOTHING: readonly PlacedRoute[] = Object.freeze([]);

function targetOf({ route, iface }: RegisteredRoute): PlacedRoute {
  return { route, iface };
}

/** Whether two routes of one slot are the same. */
function isSame(one: PlacedRoute, other: PlacedRoute): boolean {
  if (one === other) return true;
  const [a, b] = [one.route, other.route];
  return a.nextHop === b.nextHop && a.src === b.src && a.protocol === b.protocol && one.iface === other.iface;
}

/** Whether the order in which two calls take effect matters. */
function conflicts(one: Operation, other: Operation): boolean {
  return one.kind !== other.kind || !isSame(one.placed, other.placed);
}

interface Answer {
  readonly error: Error | undefined;
  readonly value: unknown;
}

const TIMED_OUT = Symbol('timed out');

/** How a promise ends, or that it did not in time. */
async function within(promise: Promise<unknown>, milliseconds: number): Promise<Answer | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(resolve, milliseconds, TIMED_OUT);
    timer.unref();
  });
  const settled = promise.then(
    (value) => ({ error: undefined, value }),
    (thrown: unknown) => ({ error: toError(thrown), value: undefined }),
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}

function timeoutError({ kind, placed }: Operation, milliseconds: number): Error {
  const what = { add: 'adding', delete: 'deleting', replace: 'replacing', look: 'looking for' }[kind];
  const message = `The backend did not answer within ${milliseconds} ms when ${what} ${formatRoute(placed.route as Route)}`;
  return new LivenessError('ERR_ROUTE_BACKEND', message);
}
