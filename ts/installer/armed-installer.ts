/** Routes that the engine moves by itself: it is told what there is, it tells what became of it, and it is told to try again. */
import type { ArmedRoute, KernelRoute, RouteArming, RouteId, RouteOutcome, SessionId } from '../engine/engine.js';
import { LivenessError } from '../errors.js';
import { formatRoute } from '../route.js';
import { Backoff } from './backoff.js';
import type { OperationListener, RegisteredRoute, RouteInstaller, RouteStatus } from './installer.js';

/** One route in care. What few routes need comes into being when it is needed. */
class Care implements ArmedRoute {
  readonly registered: RegisteredRoute;
  generation = 0;
  installed = false;
  leaving = false;
  lastError: Error | undefined = undefined;
  backoff: Backoff | undefined = undefined;
  #confirmation: ((error: Error | undefined) => void)[] | undefined = undefined;
  #departure: (() => void)[] | undefined = undefined;

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

  onConfirmation(tell: (error: Error | undefined) => void): void {
    (this.#confirmation ??= []).push(tell);
  }

  onDeparture(tell: () => void): void {
    (this.#departure ??= []).push(tell);
  }

  confirm(error: Error | undefined): void {
    const waiting = this.#confirmation;
    this.#confirmation = undefined;
    waiting?.forEach((tell) => tell(error));
  }

  depart(): void {
    const waiting = this.#departure;
    this.#departure = undefined;
    waiting?.forEach((tell) => tell());
  }
}

/**
 * The engine's own thread is the only writer of an armed route. Whether it has to be in the kernel is decided there, on
 * the session's transition; from here come registration, withdrawal, admin state, and the retries after a failure.
 */
export class ArmedInstaller implements RouteInstaller {
  readonly #arming: RouteArming;
  readonly #listener: OperationListener;
  readonly #cares = new Map<RouteId, Care>();

  constructor(arming: RouteArming, listener: OperationListener) {
    this.#arming = arming;
    this.#listener = listener;
  }

  add(registered: readonly RegisteredRoute[]): void {
    const cares = registered.map((one) => this.#cares.get(one.id) ?? this.#newCare(one));
    for (const care of cares) {
      care.leaving = false;
      care.depart();
    }
    this.#arm(cares);
  }

  changed(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered.id);
    if (care !== undefined && !care.leaving) this.#arm([care]);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    const care = this.#cares.get(registered.id);
    if (care === undefined || care.installed) return Promise.resolve();
    return new Promise((resolve, reject) => {
      care.onConfirmation((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  remove(registered: RegisteredRoute): Promise<void> {
    const care = this.#cares.get(registered.id);
    if (care === undefined) return Promise.resolve();
    care.leaving = true;
    const gone = new Promise<void>((resolve) => care.onDeparture(resolve));
    this.#disarm(care, true);
    return gone;
  }

  drop(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered.id);
    if (care === undefined) return;
    this.#disarm(care, false);
    this.#forget(care);
  }

  adopt(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered.id);
    if (care === undefined || care.leaving || care.installed) return;
    care.installed = true;
    this.#arm([care], true);
  }

  status(registered: RegisteredRoute): RouteStatus {
    const care = this.#cares.get(registered.id);
    return { installed: care?.installed ?? false, lastError: care?.lastError };
  }

  stats(): [] {
    return [];
  }

  close(): void {
    for (const care of [...this.#cares.values()]) this.#forget(care);
  }

  /** Takes in what the engine has to tell. */
  outcomes(outcomes: readonly RouteOutcome[]): void {
    for (const outcome of outcomes) {
      const care = this.#cares.get(outcome.id);
      if (care !== undefined) this.#outcome(care, outcome);
    }
  }

  #newCare(registered: RegisteredRoute): Care {
    const care = new Care(registered);
    this.#cares.set(care.id, care);
    return care;
  }

  /** However many: one crossing. */
  #arm(cares: readonly Care[], adopted = false): void {
    for (const care of cares) care.generation += 1;
    this.#arming.arm(cares, adopted);
  }

  #disarm(care: Care, remove: boolean): void {
    care.generation += 1;
    this.#arming.disarm([{ id: care.id, generation: care.generation, remove }]);
  }

  #outcome(care: Care, outcome: RouteOutcome): void {
    const error = outcome.ok ? undefined : failure(care.registered, outcome);
    if (outcome.op !== 'none') {
      care.installed = outcome.ok ? outcome.op === 'add' : outcome.op === 'delete';
      care.lastError = error;
      this.#report(care, outcome, error);
    }
    if (outcome.ok) care.backoff?.succeeded();
    // An older generation's end is not the end: the route was armed again meanwhile.
    if (outcome.gone && outcome.generation === care.generation) {
      this.#forget(care);
    } else if (!outcome.ok) {
      care.backoff ??= new Backoff();
      care.backoff.retry(() => this.#arming.retry([{ id: care.id, generation: care.generation }]));
    }
  }

  #report(care: Care, outcome: RouteOutcome, error: Error | undefined): void {
    const { route, iface } = care.registered;
    care.confirm(error);
    const op = outcome.op === 'add' ? 'add' : 'delete';
    this.#listener({ route, iface, op, ok: outcome.ok, duration: outcome.durationUs / 1_000, ...(error === undefined ? {} : { error }) });
  }

  #forget(care: Care): void {
    care.backoff?.cancel();
    this.#cares.delete(care.id);
    care.depart();
  }
}

function failure({ route }: RegisteredRoute, { op, code, message }: RouteOutcome): Error {
  const what = op === 'add' ? 'added' : 'deleted';
  return new LivenessError(code ?? 'ERR_ROUTE_BACKEND', `${formatRoute(route)} could not be ${what}: ${message ?? 'the kernel refused'}`);
}
