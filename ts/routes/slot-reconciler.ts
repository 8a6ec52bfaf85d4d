/** Brings one slot of a called backend to its desired state. */
import type { Environment, Timer } from '../base/environment.js';
import { closedError } from '../base/errors.js';
import type { Route } from '../base/route.js';
import { TIMED_OUT, within } from '../base/timeout.js';
import {
  type BackendAnswer,
  answerOf,
  type BackendCall,
  callBackend,
  hadNoEffect,
  type BackendOperation,
  timeoutError,
} from './backend-call.js';
import { Backoff } from './backoff.js';
import { type DesiredState, desiredState, type InstallerOptions, primaryUse, type SlotSituation } from './desired-state.js';
import {
  HOLD_MS,
  type InstallerWarning,
  type Leg,
  type OperationListener,
  type RegisteredRoute,
  type RouteStatus,
  type SuppressionListener,
  toOperation,
  warnOfContention,
} from './installer.js';
import type { Listings } from './listings.js';
import { PendingCalls } from './pending-calls.js';
import type { PlacedRoute, RouteLoss, RouteReaderWriter } from './reader-writer.js';
import { isBackupUsable, legOf, placedOn, wantedLeg } from './route-legs.js';
import { RestoreDelay } from './restore-delay.js';
import type { RetryGate } from './retry-gate.js';
import { InstalledCount, type RouteCounters } from './route-counters.js';
import { isSamePlace, isSameRoute } from './same-place.js';
import { SlotContents } from './slot-contents.js';
import { Suppression } from './suppression.js';
import { Waiters } from './waiters.js';

/** Shared by all reconcilers. */
export interface ReconcilerDependencies {
  readonly backend: RouteReaderWriter;
  readonly listings: Listings;
  readonly options: InstallerOptions;
  readonly counters: RouteCounters;
  readonly listener: OperationListener;
  readonly gate: RetryGate;
  readonly warn: InstallerWarning;
  readonly environment: Environment;
  /** Those whose last call failed, and that wait for a retry. */
  readonly retrying: Set<SlotReconciler>;
  /** Those whose route waits after an Up of its session, if it is not installed. */
  readonly waiting: Set<SlotReconciler>;
  /** Those whose route is installed on its backup. */
  readonly onBackup: Set<SlotReconciler>;
  readonly suppressed: SuppressionListener;
  /** Called when the registration has ended and the reconciler has nothing left to do. */
  readonly finished: (reconciler: SlotReconciler) => void;
}

/** For each late call of a kind, the next attempt of that kind waits this long, in milliseconds. */
const WAIT_FOR_LATE_MS = 10_000;

/**
 * Makes one call at a time for its slot, follows the latest desired state, and retries failed calls. A call without an answer
 * within `routeTimeout` is given up on, and the next call may begin. A late answer counts only if no other call can have taken
 * effect in between.
 */
export class SlotReconciler {
  lastError: Error | undefined = undefined;
  #registered: RegisteredRoute;
  #leg: Leg = 'primary';
  #target: PlacedRoute;
  readonly #dependencies: ReconcilerDependencies;
  readonly #contents = new SlotContents();
  readonly #calls = new PendingCalls();
  readonly #installedCount: InstalledCount;
  /** The start of the transition whose convergence was counted last. */
  #convergedStartUs: number | undefined;
  #withdrawing = false;
  #gone = false;
  #stopped = false;
  // Created when they are needed: most routes never need them.
  #backoff: Backoff | undefined = undefined;
  #inGate = false;
  #restoreDelay: RestoreDelay | undefined = undefined;
  /** Runs while an adopted or replaced route is kept until its session comes Up. */
  #hold: Timer | undefined = undefined;
  #suppression: Suppression | undefined = undefined;
  /** The end of the suppression that was told last. */
  #toldUntilMs: number | undefined = undefined;
  #confirmations: Waiters<void> | undefined = undefined;
  #removals: Waiters<void> | undefined = undefined;
  #adoptions: Waiters<boolean> | undefined = undefined;

  constructor(registered: RegisteredRoute, dependencies: ReconcilerDependencies) {
    this.#registered = registered;
    this.#target = placedOn(registered, 'primary');
    this.#dependencies = dependencies;
    this.#installedCount = new InstalledCount(dependencies.counters);
    // The primary is tried first.
    if (registered.backup !== undefined && !registered.session.up) this.#startHold();
    // The convergence of a session that is Up already was counted for its routes of that time.
    this.#convergedStartUs = registered.session.lastTransition?.startUs;
  }

  get registered(): RegisteredRoute {
    return this.#registered;
  }

  /** The registration has ended, and the slot is empty as far as the backend has answered. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Nothing is left to do, and no pending call can still change the slot. */
  get isFinished(): boolean {
    return this.#withdrawing && !this.#calls.isRunning && !this.#calls.hasLate && this.#nextOperation() === undefined;
  }

  get status(): RouteStatus {
    return {
      installed: this.#installed,
      leg: this.#leg,
      lastError: this.lastError,
      restoreAt: this.#restoreDelay?.until,
      suppressedUntil: this.#suppressedUntil,
    };
  }

  /** The route is not installed, although its session is Up. */
  get isSuppressed(): boolean {
    return this.#isWaiting && !this.#installed;
  }

  /** Counts, once per transition, how long the last transition of the session took to reach the route. */
  noteConvergence(atUs: number | undefined): void {
    const { lastTransition, up } = this.#registered.session;
    if (lastTransition === undefined || atUs === undefined || lastTransition.startUs === this.#convergedStartUs) return;
    this.#convergedStartUs = lastTransition.startUs;
    this.#dependencies.counters.converged(this.#registered, up, (atUs - lastTransition.startUs) / 1_000_000);
  }

  /** Begins the next operation, unless a call is running: then this is called again when the call has ended. */
  advance(): void {
    this.#followSession();
    if (this.#registered.session.up && !this.#isWaiting) this.#endHold();
    this.#settleLeg();
    if (this.#calls.isRunning || this.#stopped) return;
    this.#tellSuppression();
    const operation = this.#nextOperation();
    if (operation !== undefined) {
      void this.#run(operation);
      return;
    }
    this.#stopRetrying();
    if (this.#restoreDelay?.isWaiting === true) return;
    // The slot is in its desired state: an earlier failure no longer matters.
    this.lastError = undefined;
    this.#confirmations?.resolve();
    if (this.#withdrawing) this.#removed();
    if (this.isFinished) this.#dependencies.finished(this);
  }

  /** The slot is registered, or registered again, possibly with another route. */
  keep(registered: RegisteredRoute): void {
    this.#registered = registered;
    if (registered.backup === undefined) this.#leg = 'primary';
    const target = placedOn(registered, this.#leg);
    if (!isSamePlace(target, this.#target)) {
      // The path of the previous route worked a moment ago: the route stays until the new session has come Up.
      if (this.#installed && !this.#withdrawing) this.#startHold();
      this.#target = target;
    }
    this.#withdrawing = false;
    this.#gone = false;
    this.#updateGauge();
    // A registration ends the wait for a withdrawal.
    this.#removals?.resolve();
  }

  /** Ends the registration. Resolves when the backend holds nothing of it, or when it is registered again; rejects with `ERR_CLOSED`. */
  remove(): Promise<void> {
    this.#withdrawing = true;
    const removed = (this.#removals ??= new Waiters()).wait();
    this.advance();
    return removed;
  }

  /** Resolves when the slot is in its desired state; rejects with the first failure, while retries go on. */
  confirmed(): Promise<void> {
    if (!this.#calls.isRunning && this.#nextOperation() === undefined) return Promise.resolve();
    return (this.#confirmations ??= new Waiters()).wait();
  }

  /** Adopts a route of a previous process. Resolves with whether it exists; then it stays until the session has come Up. */
  adopt(leg: Leg): Promise<boolean> {
    // A predecessor that ended while it moved the route has left it on both legs.
    if (leg !== this.#leg && this.#adoptions !== undefined) this.#contents.notePossible(placedOn(this.#registered, leg));
    if (this.#calls.isRunning || this.#stopped || this.#withdrawing || this.#contents.possible.length > 0) {
      return Promise.resolve(this.#installed);
    }
    this.#startHold();
    this.#moveTo(leg);
    const adopted = (this.#adoptions ??= new Waiters()).wait();
    void this.#run({ kind: 'look', placed: this.#target });
    return adopted;
  }

  /**
   * The backend reports the loss of a route. It is put back at once, or after a delay if another program deletes it again and
   * again. The report may be older than a later addition of the same route: only a call shows what the slot holds.
   */
  lost(route: Route, how: RouteLoss): void {
    this.#calls.markOverlapped();
    const { confirmed } = this.#contents;
    if (this.#calls.isRunning || this.#stopped || confirmed === undefined || !isSameRoute(confirmed.route, route)) return;
    const isLost = this.#installed;
    this.#noteUnknown(confirmed);
    if (isLost && this.#desired === 'installed') this.#restore(how);
    this.advance();
  }

  /** Another call may have changed the slot: nothing is known of it any more. */
  disturbed(): void {
    this.#calls.markOverlapped();
    if (this.#contents.confirmed !== undefined) this.#noteUnknown(this.#contents.confirmed);
    this.advance();
  }

  /** Ends everything and leaves the backend as it is. Pending promises reject with `ERR_CLOSED`. */
  stop(): void {
    this.#stopped = true;
    this.#stopRetrying();
    this.#endHold();
    this.#suppression?.end();
    this.#restoreDelay?.cancel();
    this.#leaveGate();
    for (const waiters of [this.#removals, this.#confirmations, this.#adoptions]) waiters?.reject(closedError());
  }

  /** Has the route run on the leg that it is to run on now. */
  #settleLeg(): void {
    const { backup, adminDown } = this.#registered;
    if (backup === undefined || this.#withdrawing || this.#stopped || adminDown) return;
    const use = primaryUse(this.#situation, this.#dependencies.options);
    this.#moveTo(wantedLeg(this.#leg, use, isBackupUsable(this.#registered)));
  }

  #moveTo(leg: Leg): void {
    if (leg === this.#leg) return;
    this.#leg = leg;
    this.#target = placedOn(this.#registered, leg);
    this.#updateGauge();
  }

  get #installed(): boolean {
    return this.#contents.isConfirmed(this.#target);
  }

  get #situation(): SlotSituation {
    return {
      registered: this.#registered,
      leg: this.#leg,
      isWithdrawing: this.#withdrawing,
      isHeld: this.#hold !== undefined,
      isWaiting: this.#isWaiting,
      isThere: this.#contents.isPossible(this.#target),
      holdsNoOther: this.#contents.possible.every((placed) => isSamePlace(placed, this.#target)),
    };
  }

  get #desired(): DesiredState {
    return desiredState(this.#situation, this.#dependencies.options);
  }

  /** The session is Up, and the route is not to be added yet. */
  get #isWaiting(): boolean {
    return this.#suppression?.untilMs !== undefined;
  }

  /** The operation that brings the slot closer to its desired state; `undefined` if there is none to do now. */
  #nextOperation(): BackendOperation | undefined {
    const desired = this.#desired;
    if (desired !== 'installed') {
      const goes = (placed: PlacedRoute): boolean =>
        desired === 'absent' || (desired === 'unchanged on primary' && legOf(this.#registered, placed) === 'backup');
      const placed = this.#contents.possible.find(goes);
      return placed && { kind: 'delete', placed };
    }
    const previous = this.#contents.possible.find((placed) => !isSamePlace(placed, this.#target));
    if (previous !== undefined) {
      if (this.#dependencies.backend.routeReplace === undefined) return { kind: 'delete', placed: previous };
      return { kind: 'replace', placed: this.#target, previous };
    }
    if (this.#installed || this.#restoreDelay?.isWaiting === true) return undefined;
    return { kind: 'add', placed: this.#target };
  }

  async #run(operation: BackendOperation): Promise<void> {
    const call = this.#begin(operation);
    const { options, environment } = this.#dependencies;
    const began = environment.now();
    const answer = answerOf(callBackend(this.#dependencies, operation));
    const outcome = await within(answer, options.routeTimeout, { ref: false, environment });
    if (outcome === TIMED_OUT) this.#awaitLateAnswer(call, answer);
    if (this.#stopped) return;
    this.#calls.endRunning();
    this.#leaveGate();
    if (outcome === TIMED_OUT && this.#contents.isDone(operation)) {
      // An earlier call of the same kind was answered meanwhile.
      this.advance();
      return;
    }
    const error = outcome === TIMED_OUT ? timeoutError(operation, options.routeTimeout) : outcome.error;
    if (outcome === TIMED_OUT) this.#noteUnknown(operation.placed);
    else this.#noteAnswer(call, outcome);
    this.#report(operation, error, environment.now() - began);
    this.#continueAfter(operation, error);
  }

  #begin(operation: BackendOperation): BackendCall {
    const call = this.#calls.begin(operation);
    this.#stopRetrying();
    if (operation.kind === 'add' || operation.kind === 'replace') this.#contents.notePossible(operation.placed);
    return call;
  }

  /** Updates the known contents of the slot from an answer in time. */
  #noteAnswer({ operation, overlapped }: BackendCall, { error, value }: BackendAnswer): void {
    const { kind, placed } = operation;
    if (error === undefined) {
      if (overlapped) this.#contents.noteUnknown(placed);
      else this.#contents.noteDone(operation, value);
    } else if (kind !== 'look' && hadNoEffect(error) && !overlapped && !this.#calls.hasLate) {
      if (kind !== 'delete' && !this.#contents.isConfirmed(placed)) this.#contents.noteGone(placed);
    } else if (kind !== 'look') {
      this.#contents.noteUnknown(placed);
    }
    this.#updateGauge();
  }

  /** Counts and reports the end of a call, and settles the promises that wait for it. */
  #report({ kind, placed }: BackendOperation, error: Error | undefined, duration: number): void {
    this.lastError = error;
    if (kind === 'look') {
      this.#adoptions?.resolve(this.#installed);
      return;
    }
    const op = kind === 'delete' ? 'delete' : 'add';
    this.#dependencies.counters.answered(this.#registered, op, error === undefined);
    if (error === undefined && this.#followsTransition(op)) this.noteConvergence(this.#dependencies.environment.now() * 1_000);
    if (error !== undefined) this.#confirmations?.reject(error);
    else if (this.#installed) this.#confirmations?.resolve();
    const leg = legOf(this.#registered, placed);
    const route = leg === undefined ? placed.route : this.#registered.route;
    const { iface } = this.#registered;
    this.#dependencies.listener(toOperation({ route, iface, op, leg: leg ?? 'primary', duration }, error));
  }

  #continueAfter(operation: BackendOperation, error: Error | undefined): void {
    if (this.#stopped) return;
    if (error === undefined) this.#backoff?.succeeded();
    else if (this.#nextOperation()?.kind === operation.kind) {
      this.#retryLater(operation);
      return;
    }
    this.advance();
  }

  #retryLater({ kind }: BackendOperation): void {
    this.#backoff ??= new Backoff(this.#dependencies.environment);
    const retry = (): void => {
      this.#dependencies.gate.enter(() => this.#retry());
    };
    this.#backoff.retry(retry, this.#calls.countLate(kind) * WAIT_FOR_LATE_MS);
    this.#dependencies.retrying.add(this);
  }

  #stopRetrying(): void {
    this.#backoff?.cancel();
    this.#dependencies.retrying.delete(this);
  }

  #retry(): void {
    this.#inGate = true;
    if (!this.#stopped) this.advance();
    if (!this.#calls.isRunning) this.#leaveGate();
  }

  #leaveGate(): void {
    if (!this.#inGate) return;
    this.#inGate = false;
    this.#dependencies.gate.leave();
  }

  #awaitLateAnswer(call: BackendCall, answer: Promise<BackendAnswer>): void {
    this.#calls.addLate(call);
    void answer.then((late) => this.#noteLateAnswer(call, late));
  }

  /** A late call may have undone what was done meanwhile. */
  #noteLateAnswer(call: BackendCall, answer: BackendAnswer): void {
    this.#calls.removeLate(call);
    const { operation } = call;
    if (this.#stopped) return;
    this.#calls.markOverlapped(operation);
    if (!call.overlapped && answer.error === undefined) this.#contents.noteDone(operation, answer.value);
    else if (call.overlapped || !this.#contents.isDone(operation)) this.#contents.noteUnknown(operation.placed);
    this.#updateGauge();
    this.advance();
  }

  /** Whether a transition of the session was the reason for an operation. */
  #followsTransition(op: 'add' | 'delete'): boolean {
    const { session, adminDown } = this.#registered;
    return !this.#dependencies.options.passiveMode && !this.#withdrawing && !adminDown && session.up === (op === 'add');
  }

  #noteUnknown(placed: PlacedRoute): void {
    this.#contents.noteUnknown(placed);
    this.#updateGauge();
  }

  /** Counts an installed route at the endpoint of its registration. */
  #updateGauge(): void {
    const counts = this.#installed && !this.#gone;
    if (counts && this.#leg === 'backup') this.#dependencies.onBackup.add(this);
    else this.#dependencies.onBackup.delete(this);
    this.#installedCount.set(counts ? this.#registered : undefined);
  }

  get #suppressedUntil(): Date | undefined {
    const untilMs = this.#suppression?.untilMs;
    if (untilMs === undefined || !this.isSuppressed) return undefined;
    return new Date(untilMs + this.#dependencies.environment.wallOffset());
  }

  /** Most sessions have neither `holdUp` nor `damping`, and their routes need no suppression. */
  #followSession(): void {
    const { session, adminDown } = this.#registered;
    const { environment, options, waiting } = this.#dependencies;
    if (this.#stopped) return;
    const isOff = session.holdUpMs === 0 && session.damping === undefined;
    if (isOff || this.#withdrawing || options.passiveMode) {
      this.#endSuppression();
      return;
    }
    if (this.#suppression?.sessionId !== session.id) this.#endSuppression();
    this.#suppression ??= new Suppression(session, environment, () => this.advance());
    this.#suppression.follow(session);
    // Whoever puts the route back in service wants it now.
    if (adminDown) this.#suppression.end();
    if (this.#isWaiting) waiting.add(this);
    else waiting.delete(this);
  }

  #endSuppression(): void {
    this.#suppression?.end();
    this.#suppression = undefined;
    this.#dependencies.waiting.delete(this);
  }

  #tellSuppression(): void {
    const until = this.#suppressedUntil;
    const untilMs = this.#suppression?.untilMs;
    if (until === undefined || untilMs === this.#toldUntilMs) return;
    this.#toldUntilMs = untilMs;
    // The time until the release says nothing of how fast routes follow their sessions.
    this.#convergedStartUs = this.#registered.session.lastTransition?.startUs;
    this.#dependencies.suppressed(this.#registered, until);
  }

  #startHold(): void {
    this.#endHold();
    this.#hold = this.#dependencies.environment.after(HOLD_MS, () => {
      this.#hold = undefined;
      this.advance();
    });
  }

  #endHold(): void {
    this.#hold?.cancel();
    this.#hold = undefined;
  }

  /** Puts a lost route back, after the delay that its losses by other programs ask for. */
  #restore(how: RouteLoss): void {
    this.#restoreDelay ??= new RestoreDelay(this.#dependencies.environment);
    const { delay, isFirst } = how === 'taken' ? this.#restoreDelay.countLoss() : { delay: 0, isFirst: false };
    if (isFirst) warnOfContention(this.#dependencies.warn, this.#registered);
    this.#dependencies.counters.lost(this.#registered, delay > 0);
    this.#restoreDelay.start(delay, () => this.advance());
  }

  #removed(): void {
    this.#gone = true;
    this.#updateGauge();
    this.#removals?.resolve();
  }
}
