/** Routes that the engine moves by itself: it is told what there is, it tells what became of it, and it is told to try again. */
import type { RouteArming, RouteId, RouteOutcome } from '../engine/engine.js';
import { LivenessError } from '../errors.js';
import { toNative } from '../netlinker/netlink.js';
import { formatRoute } from '../route.js';
import { Backoff } from './backoff.js';
import type { OperationListener, RegisteredRoute, RouteInstaller, RouteStatus } from './installer.js';

interface Care {
  readonly id: RouteId;
  readonly registered: RegisteredRoute;
  readonly backoff: Backoff;
  generation: number;
  installed: boolean;
  lastError: Error | undefined;
  leaving: boolean;
  confirmation: ((error: Error | undefined) => void)[];
  departure: (() => void)[];
}

/**
 * The engine's own thread is the only writer of an armed route. Whether it has to be in the kernel is decided there, on
 * the session's transition; from here come registration, withdrawal, admin state, and the retries after a failure.
 */
export class ArmedInstaller implements RouteInstaller {
  readonly #arming: RouteArming;
  readonly #listener: OperationListener;
  readonly #cares = new Map<RegisteredRoute, Care>();
  readonly #byId = new Map<RouteId, Care>();
  #lastId = 0;

  constructor(arming: RouteArming, listener: OperationListener) {
    this.#arming = arming;
    this.#listener = listener;
  }

  add(registered: readonly RegisteredRoute[]): void {
    const cares = registered.map((one) => this.#cares.get(one) ?? this.#newCare(one));
    for (const care of cares) {
      care.leaving = false;
      answer(care, 'departure');
    }
    this.#arm(cares);
  }

  changed(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered);
    if (care !== undefined && !care.leaving) this.#arm([care]);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    const care = this.#cares.get(registered);
    if (care === undefined || care.installed) return Promise.resolve();
    return new Promise((resolve, reject) => {
      care.confirmation.push((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  remove(registered: RegisteredRoute): Promise<void> {
    const care = this.#cares.get(registered);
    if (care === undefined) return Promise.resolve();
    care.leaving = true;
    const gone = new Promise<void>((resolve) => care.departure.push(resolve));
    this.#disarm(care, true);
    return gone;
  }

  drop(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered);
    if (care === undefined) return;
    this.#disarm(care, false);
    this.#forget(care);
  }

  adopt(registered: RegisteredRoute): void {
    const care = this.#cares.get(registered);
    if (care === undefined || care.leaving || care.installed) return;
    care.installed = true;
    this.#arm([care], true);
  }

  status(registered: RegisteredRoute): RouteStatus {
    const care = this.#cares.get(registered);
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
      const care = this.#byId.get(outcome.id);
      if (care !== undefined) this.#outcome(care, outcome);
    }
  }

  #newCare(registered: RegisteredRoute): Care {
    this.#lastId += 1;
    const care: Care = {
      id: this.#lastId,
      registered,
      backoff: new Backoff(),
      generation: 0,
      installed: false,
      lastError: undefined,
      leaving: false,
      confirmation: [],
      departure: [],
    };
    this.#cares.set(registered, care);
    this.#byId.set(care.id, care);
    return care;
  }

  /** However many: one crossing. */
  #arm(cares: readonly Care[], adopted = false): void {
    const routes = cares.map((care) => {
      const { route, adminDown, session } = care.registered;
      care.generation += 1;
      const { id, generation } = care;
      return { ...toNative(route), id, generation, sessionId: session.id, adminDown, adopted, noUninstall: route.noUninstall ?? false };
    });
    this.#arming.arm(routes);
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
    if (outcome.ok) care.backoff.succeeded();
    // An older generation's end is not the end: the route was armed again meanwhile.
    if (outcome.gone && outcome.generation === care.generation) {
      this.#forget(care);
    } else if (!outcome.ok) {
      care.backoff.retry(() => this.#arming.retry([{ id: care.id, generation: care.generation }]));
    }
  }

  #report(care: Care, outcome: RouteOutcome, error: Error | undefined): void {
    const { route, iface } = care.registered;
    const confirmation = care.confirmation;
    care.confirmation = [];
    for (const tell of confirmation) tell(error);
    const op = outcome.op === 'add' ? 'add' : 'delete';
    this.#listener({ route, iface, op, ok: outcome.ok, duration: outcome.durationUs / 1_000, ...(error === undefined ? {} : { error }) });
  }

  #forget(care: Care): void {
    care.backoff.cancel();
    this.#cares.delete(care.registered);
    this.#byId.delete(care.id);
    answer(care, 'departure');
  }
}

function answer(care: Care, what: 'departure'): void {
  const waiting = care[what];
  care[what] = [];
  for (const tell of waiting) tell();
}

function failure({ route }: RegisteredRoute, { op, code, message }: RouteOutcome): Error {
  const what = op === 'add' ? 'added' : 'deleted';
  return new LivenessError(code ?? 'ERR_ROUTE_BACKEND', `${formatRoute(route)} could not be ${what}: ${message ?? 'the kernel refused'}`);
}
