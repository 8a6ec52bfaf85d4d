/** Exponential backoff with jitter for the retries of one operation. */
import { type Environment, SYSTEM, type Timer } from '../base/environment.js';

const FIRST_MS = 100;
const LONGEST_MS = 10_000;

/** The largest share of a wait that jitter takes off: operations that failed together must not be retried together. */
const JITTER = 0.25;

/** Waits double from 100 ms to 10 s, less up to a quarter, and start again after a success. The timer keeps no process alive. */
export class Backoff {
  #failures = 0;
  #timer: Timer | undefined;
  readonly #environment: Environment;

  constructor(environment: Environment = SYSTEM) {
    this.#environment = environment;
  }

  /**
   * Calls back after the next wait. Replaces a running wait.
   *
   * @param min the shortest wait in milliseconds. Default: 0
   */
  retry(attempt: () => void, min = 0): void {
    this.cancel();
    const delay = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS) * (1 - JITTER * this.#environment.random());
    this.#failures += 1;
    this.#timer = this.#environment.after(Math.max(delay, min), attempt);
  }

  succeeded(): void {
    this.#failures = 0;
    this.cancel();
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
