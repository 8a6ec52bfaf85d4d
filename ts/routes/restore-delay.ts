/** The wait before a lost route is put back: none at first, a growing one for a route that is taken away again and again. */
import type { Environment, Timer } from '../base/environment.js';
import { Contention } from './contention.js';

export class RestoreDelay {
  #contention: Contention | undefined = undefined;
  #waiting: { readonly until: number; readonly timer: Timer } | undefined = undefined;

  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Whether the route must not be put back yet. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** When the wait ends, as a date; `undefined` without a wait. */
  get until(): Date | undefined {
    return this.#waiting && new Date(this.#environment.wallOffset() + this.#waiting.until);
  }

  /** Counts a loss by another program. Returns the delay in milliseconds, and whether it is the first one after a quiet time. */
  countLoss(): { delay: number; isFirst: boolean } {
    this.#contention ??= new Contention();
    const wasQuiet = this.#contention.delay === 0;
    const delay = this.#contention.countLoss(this.#environment.now());
    return { delay, isFirst: wasQuiet && delay > 0 };
  }

  /** Starts a wait in place of any earlier one, and calls back at its end. A delay of 0 starts none. */
  start(delay: number, ended: () => void): void {
    this.cancel();
    if (delay === 0) return;
    const timer = this.#environment.after(delay, () => {
      this.#waiting = undefined;
      ended();
    });
    this.#waiting = { until: this.#environment.now() + delay, timer };
  }

  cancel(): void {
    this.#waiting?.timer.cancel();
    this.#waiting = undefined;
  }
}
