/** The wait before a lost route is put back: none at first, a growing one for a route that is taken away again and again. */
import { monotonicNow } from '../base/clock.js';
import { Contention } from './contention.js';

export class RestoreDelay {
  #contention: Contention | undefined = undefined;
  #waiting: { readonly until: number; readonly timer: NodeJS.Timeout } | undefined = undefined;

  /** Whether the route must not be put back yet. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** When the wait ends, as a date; `undefined` without a wait. */
  get until(): Date | undefined {
    return this.#waiting && new Date(Date.now() + this.#waiting.until - monotonicNow());
  }

  /** Counts a loss by another program. Returns the delay in milliseconds, and whether it is the first one after a quiet time. */
  countLoss(): { delay: number; isFirst: boolean } {
    this.#contention ??= new Contention();
    const wasQuiet = this.#contention.delay === 0;
    const delay = this.#contention.countLoss(monotonicNow());
    return { delay, isFirst: wasQuiet && delay > 0 };
  }

  /** Starts a wait in place of any earlier one, and calls back at its end. A delay of 0 starts none. */
  start(delay: number, ended: () => void): void {
    this.cancel();
    if (delay === 0) return;
    const timer = setTimeout(() => {
      this.#waiting = undefined;
      ended();
    }, delay).unref();
    this.#waiting = { until: monotonicNow() + delay, timer };
  }

  cancel(): void {
    clearTimeout(this.#waiting?.timer);
    this.#waiting = undefined;
  }
}
