/** The jitter of transmit intervals, and its random numbers. */

/**
 * Marsaglia's xorshift32 (shifts 13, 17, 5). The native engine draws the same numbers for the same seed. Not for secrets.
 */
export class Xorshift32 {
  #state: number;

  /** @param seed 32 bits. 0 becomes 1, since xorshift never leaves 0 */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** The next number, 0 to 4 294 967 295. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state;
  }
}

/** Draws a number of 32 bits. */
export type Random = () => number;

/** One draw, uniform from `leastUs` to `mostUs`, both whole microseconds. */
export function between(leastUs: number, mostUs: number, random: Random): number {
  // The upper 24 bits of the draw keep the product exact in a double.
  return leastUs + Math.floor(((random() >>> 8) * (mostUs - leastUs + 1)) / 2 ** 24);
}

/**
 * The interval with jitter: uniform in ± 10 %; in −25 % … −10 % if the peer's detection multiplier is 1, since it would time out
 * after a longer interval (RFC 5880 §6.8.7). Both are whole microseconds.
 */
export function jittered(intervalUs: number, peerDetectMult: number, random: Random): number {
  const tenth = Math.floor(intervalUs / 10);
  const isStrict = peerDetectMult === 1;
  const least = isStrict ? intervalUs - Math.floor(intervalUs / 4) : intervalUs - tenth;
  const most = isStrict ? intervalUs - tenth : intervalUs + tenth;
  return between(least, most, random);
}
