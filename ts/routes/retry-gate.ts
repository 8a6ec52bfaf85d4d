/** How many retries run at once. */

/** Lets so many in at a time; the others wait in the order in which they came. */
export class RetryGate {
  readonly #most: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Calls `start` as soon as there is room. Whoever was let in calls `leave` once. */
  enter(start: () => void): void {
    if (this.#inside < this.#most) this.#admit(start);
    else this.#waiting.push(start);
  }

  leave(): void {
    this.#inside -= 1;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#admit(next);
  }

  #admit(start: () => void): void {
    this.#inside += 1;
    start();
  }
}
