/** The waits between attempts at one thing. */

const FIRST_MS = 100;
const LONGEST_MS = 10_000;

/** Doubles from 100 ms to 10 s, and starts anew after a success. The timer keeps no process alive. */
export class Backoff {
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Calls back after the next wait; a wait that is running is replaced. */
  retry(attempt: () => void): void {
    this.cancel();
    const delay = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures += 1;
    this.#timer = setTimeout(attempt, delay);
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
