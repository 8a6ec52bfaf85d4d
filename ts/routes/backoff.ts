/** The waits between attempts at one thing. */

const FIRST_MS = 100;
const LONGEST_MS = 10_000;

/** The share of a wait that chance may take off, so that what failed together is not tried again together. */
const JITTER = 0.25;

/** Doubles from 100 ms to 10 s, less up to a quarter, and starts anew after a success. The timer keeps no process alive. */
export class Backoff {
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Calls back after the next wait; a wait that is running is replaced.
   *
   * @param least the wait is no shorter than this, in milliseconds. Default: 0
   */
  retry(attempt: () => void, least = 0): void {
    this.cancel();
    const delay = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS) * (1 - JITTER * Math.random());
    this.#failures += 1;
    this.#timer = setTimeout(attempt, Math.max(delay, least));
    this.#timer.unref();
  }

  succeeded(): void {
    this.#failures = 0;
    this.cancel();
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
