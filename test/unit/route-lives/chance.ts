/** What a seed decides. */

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to the most. */
  upTo(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }

  /** True once in so many times. */
  of(times: number): boolean {
    return this.next() * times < 1;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.upTo(from.length - 1)] as T;
  }
}
