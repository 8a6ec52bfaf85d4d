/** One slot of a backend: what it is to hold, what it may hold, and the calls that are under way. */
import { monotonicNow } from '../base/clock.js';
import { closedError } from '../base/errors.js';
import { TIMED_OUT, within } from '../base/timeout.js';
import type { PlacedRoute, RouteLoss, RouteReaderWriter } from './reader-writer.js';
import {
  type BackendAnswer,
  answerOf,
  type BackendCall,
  callBackend,
  conflicts,
  hadNoEffect,
  type BackendOperation,
  timeoutError,
} from './backend-call.js';
import type { Route } from '../base/route.js';
import { Backoff } from './backoff.js';
import { Contention } from './contention.js';
import {
  HOLD_MS,
  type InstallerWarning,
  type OperationListener,
  type RegisteredRoute,
  type RouteStatus,
  warnOfContention,
} from './installer.js';
import type { Listings } from './listings.js';
import type { RetryGate } from './retry-gate.js';
import type { RouteEndpoint, RouteCounters } from './route-counters.js';
import { isSamePlace, isSameRoute, SlotContents } from './slot-contents.js';
import { Waiters } from './waiters.js';

/** How the wishes of routes are judged. */
export interface InstallerOptions {
  /** Sessions and admin states move nothing: a route is installed while it is registered. */
  readonly passiveMode: boolean;
  /** A session whose peer is passive keeps its route when it goes Down. */
  readonly honorPeerAdvertisedPassive: boolean;
  /** After so many milliseconds a call counts as failed. */
  readonly routeTimeout: number;
}

/** What all reconcilers work with. */
export interface ReconcilerDependencies {
  readonly backend: RouteReaderWriter;
  readonly listings: Listings;
  readonly rules: InstallerOptions;
  readonly counters: RouteCounters;
  readonly listener: OperationListener;
  readonly gate: RetryGate;
  readonly warn: InstallerWarning;
  /** Told when a reconciler whose registration has ended has nothing left to do. */
  readonly finished: (reconciler: SlotReconciler) => void;
}

type Wish = 'installed' | 'absent' | 'as_it_is';

/** While calls of a kind hang, the next attempt of that kind waits this long for each of them, in milliseconds. */
const WAIT_FOR_HANGING_MS = 10_000;

/**
 * The owner of a slot sees to it that there is one call at a time, that the latest wish wins, and that what failed is tried
 * again. A call that was not answered in time is given up on, and the next may go ahead; what the late answer says counts
 * only where no other call can have come between.
 */
export class SlotReconciler {
  lastError: Error | undefined = undefined;
  #registered: RegisteredRoute;
  #target: PlacedRoute;
  readonly #dependencies: ReconcilerDependencies;
  readonly #contents = new SlotContents();
  /** Where the gauge counts it: the registration may have moved to another scope since. */
  #counted: RouteEndpoint | undefined = undefined;
  /** The turn of the session whose convergence was counted last. */
  #convergedStartUs: number | undefined;
  #running: BackendCall | undefined = undefined;
  #leaving = false;
  #gone = false;
  #stopped = false;
  /** What few routes need comes into being when it is needed. */
  #late: Set<BackendCall> | undefined = undefined;
  #backoff: Backoff | undefined = undefined;
  #inGate = false;
  #contention: Contention | undefined = undefined;
  #restore: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined = undefined;
  /** Runs while an adopted or replaced route waits for its session. */
  #hold: NodeJS.Timeout | undefined = undefined;
  #confirmations: Waiters<void> | undefined = undefined;
  #departures: Waiters<void> | undefined = undefined;
  #adoptions: Waiters<boolean> | undefined = undefined;

  constructor(registered: RegisteredRoute, dependencies: ReconcilerDependencies) {
    this.#registered = registered;
    this.#target = targetOf(registered);
    this.#dependencies = dependencies;
    // A session that is Up already converged for the routes that it had then.
    this.#convergedStartUs = registered.session.lastTransition?.startUs;
  }

  get registered(): RegisteredRoute {
    return this.#registered;
  }

  /** The registration has ended, and the backend holds nothing of it as far as it has answered. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Nothing is left to do, and no call is under way that may still change the slot. */
  get isFinished(): boolean {
    return this.#leaving && this.#running === undefined && !this.#hasLate() && this.#wanted() === undefined;
  }

  get status(): RouteStatus {
    const restoreAt = this.#restore === undefined ? undefined : new Date(Date.now() + this.#restore.at - monotonicNow());
    return { installed: this.#installed, lastError: this.lastError, restoreAt };
  }

  /** Counts, once, how long the session's newest turn took to reach the route. */
  noteConvergence(atUs: number | undefined): void {
    const { lastTransition, up } = this.#registered.session;
    if (lastTransition === undefined || atUs === undefined || lastTransition.startUs === this.#convergedStartUs) return;
    this.#convergedStartUs = lastTransition.startUs;
    this.#dependencies.counters.converged(this.#registered, up, (atUs - lastTransition.startUs) / 1_000_000);
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
    this.#confirmations?.resolve();
    if (this.#leaving) this.#depart();
    if (this.isFinished) this.#dependencies.finished(this);
  }

  /** Registered, or registered again, possibly as another route for the same slot. */
  keep(registered: RegisteredRoute): void {
    this.#registered = registered;
    const target = targetOf(registered);
    if (!isSamePlace(target, this.#target)) {
      // The path that it leads over worked a moment ago: it stays while the new session begins.
      if (this.#installed && !this.#leaving) this.#startHold();
      this.#target = target;
    }
    this.#leaving = false;
    this.#gone = false;
    this.#count();
    // Whoever waited for the withdrawal was overtaken by a registration.
    this.#departures?.resolve();
  }

  /** Resolves when nothing of it is left in the backend, or when it is registered again; rejects at the end of the manager. */
  leave(): Promise<void> {
    this.#leaving = true;
    const left = (this.#departures ??= new Waiters()).wait();
    this.advance();
    return left;
  }

  /** Resolves once the route is there, or nothing is wanted; rejects with the first failure, while retries go on. */
  confirmed(): Promise<void> {
    if (this.#running === undefined && this.#wanted() === undefined) return Promise.resolve();
    return (this.#confirmations ??= new Waiters()).wait();
  }

  /**
   * Takes over what a predecessor left. Resolves with whether it is there: then it is held while its session begins anew.
   */
  adopt(): Promise<boolean> {
    if (this.#running !== undefined || this.#stopped || this.#leaving || this.#contents.possible.length > 0) {
      return Promise.resolve(this.#installed);
    }
    this.#startHold();
    const adopted = (this.#adoptions ??= new Waiters()).wait();
    void this.#run({ kind: 'look', placed: this.#target });
    return adopted;
  }

  /**
   * A route was taken away: it is put back at once, or, where somebody takes it again and again, after a delay. What is told
   * may be old, and an equal route may have been added since: nothing counts as gone before a call has settled it.
   */
  lost(route: Route, how: RouteLoss): void {
    this.#doubtCalls();
    const { confirmed } = this.#contents;
    if (this.#running !== undefined || this.#stopped || confirmed === undefined || !isSameRoute(confirmed.route, route)) return;
    const isLost = this.#installed;
    this.#noteUnknown(confirmed);
    if (isLost && this.#wish() === 'installed') this.#restoreAfter(how === 'taken' ? this.#countLoss() : 0);
    this.advance();
  }

  /** What is known of the slot is in doubt. */
  disturbed(): void {
    this.#doubtCalls();
    if (this.#contents.confirmed !== undefined) this.#noteUnknown(this.#contents.confirmed);
    this.advance();
  }

  /** Ends everything; the backend stays as it is. Who waits is told that the manager has closed. */
  stop(): void {
    this.#stopped = true;
    this.#backoff?.cancel();
    this.#endHold();
    this.#endDelay();
    this.#leaveGate();
    for (const waiting of [this.#departures, this.#confirmations, this.#adoptions]) waiting?.reject(closedError());
  }

  get #installed(): boolean {
    return this.#contents.isConfirmed(this.#target);
  }

  #wish(): Wish {
    const { noUninstall, adminDown, session } = this.#registered;
    const { passiveMode, honorPeerAdvertisedPassive } = this.#dependencies.rules;
    const withdrawn = noUninstall ? 'as_it_is' : 'absent';
    if (this.#leaving) return withdrawn;
    if (passiveMode) return 'installed';
    if (adminDown) return withdrawn;
    if (session.up) return 'installed';
    if (this.#hold !== undefined) return 'as_it_is';
    return honorPeerAdvertisedPassive && session.peerPassive ? 'as_it_is' : withdrawn;
  }

  #wanted(): BackendOperation | undefined {
    const wish = this.#wish();
    const [first] = this.#contents.possible;
    if (wish === 'absent') return first === undefined ? undefined : { kind: 'delete', placed: first };
    if (wish === 'as_it_is') return undefined;
    const previous = this.#contents.possible.find((placed) => !isSamePlace(placed, this.#target));
    if (previous !== undefined) {
      if (this.#dependencies.backend.routeReplace === undefined) return { kind: 'delete', placed: previous };
      return { kind: 'replace', placed: this.#target, previous };
    }
    if (this.#installed || this.#restore !== undefined) return undefined;
    return { kind: 'add', placed: this.#target };
  }

  async #run(operation: BackendOperation): Promise<void> {
    const call = this.#begin(operation);
    const began = monotonicNow();
    const { routeTimeout } = this.#dependencies.rules;
    const answer = answerOf(callBackend(this.#dependencies, operation));
    const outcome = await within(answer, routeTimeout, { ref: false });
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
    if (outcome === TIMED_OUT) this.#noteUnknown(operation.placed);
    else this.#note(call, outcome);
    this.#tell(operation, error, monotonicNow() - began);
    this.#goOn(operation, error);
  }

  #begin(operation: BackendOperation): BackendCall {
    const call: BackendCall = { operation, overlapped: false };
    this.#running = call;
    this.#backoff?.cancel();
    for (const late of this.#late ?? []) {
      if (conflicts(late.operation, operation)) late.overlapped = true;
    }
    if (operation.kind === 'add' || operation.kind === 'replace') this.#contents.notePossible(operation.placed);
    return call;
  }

  /** Takes in an answer that came in time. */
  #note({ operation, overlapped }: BackendCall, { error, value }: BackendAnswer): void {
    const { kind, placed } = operation;
    if (error === undefined) {
      if (overlapped) this.#noteUnknown(placed);
      else this.#noteDone(operation, value);
    } else if (kind !== 'look' && hadNoEffect(error) && !overlapped && !this.#hasLate()) {
      if (kind !== 'delete' && !this.#contents.isConfirmed(placed)) this.#noteGone(placed);
    } else if (kind !== 'look') {
      this.#noteUnknown(placed);
    }
  }

  #noteDone({ kind, placed, previous }: BackendOperation, value: unknown): void {
    if (kind === 'add' || (kind === 'look' && value === true)) this.#noteHeld(placed);
    else if (kind === 'delete' || kind === 'look') this.#noteGone(placed);
    else {
      if (previous !== undefined) this.#noteGone(previous);
      this.#noteHeld(placed);
    }
  }

  /** Reports a call that has ended, one way or the other, and tells those who wait for it. */
  #tell({ kind, placed }: BackendOperation, error: Error | undefined, duration: number): void {
    this.lastError = error;
    if (kind === 'look') {
      this.#adoptions?.resolve(this.#installed);
      return;
    }
    const op = kind === 'delete' ? 'delete' : 'add';
    this.#dependencies.counters.answered(this.#registered, op, error === undefined);
    if (error === undefined && this.#followsSession(op)) this.noteConvergence(monotonicNow() * 1_000);
    if (error !== undefined) this.#confirmations?.reject(error);
    else if (this.#installed) this.#confirmations?.resolve();
    const { route } = placed;
    const { iface } = this.#registered;
    this.#dependencies.listener({ route, iface, op, ok: error === undefined, duration, ...(error === undefined ? {} : { error }) });
  }

  #goOn(operation: BackendOperation, error: Error | undefined): void {
    if (this.#stopped) return;
    if (error === undefined) this.#backoff?.succeeded();
    else if (this.#wanted()?.kind === operation.kind) {
      this.#retryLater(operation);
      return;
    }
    this.advance();
  }

  #retryLater(operation: BackendOperation): void {
    let hanging = 0;
    for (const late of this.#late ?? []) hanging += late.operation.kind === operation.kind ? 1 : 0;
    this.#backoff ??= new Backoff();
    const retry = (): void => {
      this.#dependencies.gate.enter(() => {
        this.#retry();
      });
    };
    this.#backoff.retry(retry, hanging * WAIT_FOR_HANGING_MS);
  }

  #retry(): void {
    this.#inGate = true;
    if (!this.#stopped) this.advance();
    if (this.#running === undefined) this.#leaveGate();
  }

  #leaveGate(): void {
    if (!this.#inGate) return;
    this.#inGate = false;
    this.#dependencies.gate.leave();
  }

  /** When the answer comes after all, it may have undone what was done meanwhile. */
  #awaitLate(call: BackendCall, answer: Promise<BackendAnswer>): void {
    (this.#late ??= new Set()).add(call);
    void answer.then((it) => {
      this.#answeredLate(call, it);
    });
  }

  #answeredLate(call: BackendCall, answer: BackendAnswer): void {
    this.#late?.delete(call);
    const { operation } = call;
    if (this.#stopped) return;
    this.#doubtCalls(operation);
    if (!call.overlapped && answer.error === undefined) this.#noteDone(operation, answer.value);
    else if (call.overlapped || !this.#isDone(operation)) this.#noteUnknown(operation.placed);
    this.advance();
  }

  /** Something came between the calls that are under way and their answers. Without `by` it was none of our calls. */
  #doubtCalls(by?: BackendOperation): void {
    for (const call of [this.#running, ...(this.#late ?? [])]) {
      if (call !== undefined && (by === undefined || conflicts(call.operation, by))) call.overlapped = true;
    }
  }

  #hasLate(): boolean {
    return (this.#late?.size ?? 0) > 0;
  }

  /** Whether it is the session's turn that asked for an operation. */
  #followsSession(op: 'add' | 'delete'): boolean {
    const { session, adminDown } = this.#registered;
    return !this.#dependencies.rules.passiveMode && !this.#leaving && !adminDown && session.up === (op === 'add');
  }

  #isDone({ kind, placed }: BackendOperation): boolean {
    return kind === 'delete' ? !this.#contents.isPossible(placed) : this.#contents.isConfirmed(placed);
  }

  #noteHeld(placed: PlacedRoute): void {
    this.#contents.noteHeld(placed);
    this.#count();
  }

  #noteGone(placed: PlacedRoute): void {
    this.#contents.noteGone(placed);
    this.#count();
  }

  #noteUnknown(placed: PlacedRoute): void {
    this.#contents.noteUnknown(placed);
    this.#count();
  }

  #count(): void {
    const counts = this.#installed && !this.#gone;
    const { iface, source } = this.#registered;
    if (this.#counted !== undefined && !(counts && this.#counted.iface === iface && this.#counted.source === source)) {
      this.#dependencies.counters.installed(this.#counted, -1);
      this.#counted = undefined;
    }
    if (!counts || this.#counted !== undefined) return;
    this.#counted = { iface, source };
    this.#dependencies.counters.installed(this.#counted, 1);
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

  /** Gives how long the route is not put back. */
  #countLoss(): number {
    this.#contention ??= new Contention();
    const wasQuiet = this.#contention.delay === 0;
    const delay = this.#contention.lose(monotonicNow());
    if (wasQuiet && delay > 0) warnOfContention(this.#dependencies.warn, this.#registered);
    return delay;
  }

  #restoreAfter(delay: number): void {
    this.#dependencies.counters.lost(this.#registered, delay > 0);
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

  #depart(): void {
    this.#gone = true;
    this.#count();
    this.#departures?.resolve();
  }
}

function targetOf({ route, iface }: RegisteredRoute): PlacedRoute {
  return { route, iface };
}
