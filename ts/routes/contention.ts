/** A route that others take away again and again. `crate/src/orders.rs` has the same rules for armed routes. */

const PEACE_MS = 10_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

/**
 * How long a route is not put back: not at all after its first loss, then 1 s, doubling to 60 s with every loss that
 * follows within 10 s, or within twice the delay before. Times are milliseconds of any one clock.
 */
export class Contention {
  #losses = 0;
  #lostAt = 0;

  /** Counts a loss, and gives the delay. */
  lose(now: number): number {
    if (now - this.#lostAt > Math.max(PEACE_MS, 2 * this.delay)) this.#losses = 0;
    this.#losses += 1;
    this.#lostAt = now;
    return this.delay;
  }

  /** The delay after the last loss. */
  get delay(): number {
    return this.#losses < 2 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#losses - 2), LONGEST_DELAY_MS);
  }
}
