/** The delays for a route that another program deletes again and again. The planner of the addon has the same rules. */

const QUIET_MS = 10_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

/**
 * How long a lost route is not put back: 0 after the first loss, then 1 s, doubling to 60 s with each loss that follows within
 * 10 s, or within twice the previous delay. Times are milliseconds of any one clock.
 */
export class Contention {
  #losses = 0;
  #lastLoss = 0;

  /** Counts a loss, and returns the delay. */
  countLoss(now: number): number {
    if (now - this.#lastLoss > Math.max(QUIET_MS, 2 * this.delay)) this.#losses = 0;
    this.#losses += 1;
    this.#lastLoss = now;
    return this.delay;
  }

  /** The delay after the last loss. */
  get delay(): number {
    return this.#losses < 2 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#losses - 2), LONGEST_DELAY_MS);
  }
}
