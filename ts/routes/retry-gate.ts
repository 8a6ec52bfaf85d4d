/** Limits how many retries run at once. The others wait in the order in which they came. */

export class RetryGate {
  readonly #max: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Calls `start` as soon as fewer than the maximum are inside. Each call of `start` must be followed by one `leave`. */
  enter(start: () => void): void {
    if (this.#inside < this.#max) this.#admit(start);
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
