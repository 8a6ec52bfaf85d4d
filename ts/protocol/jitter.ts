/** The one random draw that a transmit makes. */

/**
 * Marsaglia's xorshift32 (shifts 13, 17, 5): the same numbers as the native engine's, for the same seed. Not for secrets.
 */
export class Xorshift32 {
  #state: number;

  /** A seed of 32 bits; zero, on which xorshift would stay, becomes one. */
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

/**
 * The interval with its jitter: uniform in ± 10 %, or in −25 % … −10 % towards a peer whose detection multiplier is 1, since
 * anything longer makes it flap (RFC 5880 §6.8.7). Whole microseconds in, whole microseconds out.
 */
export function jittered(intervalUs: number, peerDetectMult: number, random: Random): number {
  const tenth = Math.floor(intervalUs / 10);
  const isStrict = peerDetectMult === 1;
  const least = isStrict ? intervalUs - Math.floor(intervalUs / 4) : intervalUs - tenth;
  const most = isStrict ? intervalUs - tenth : intervalUs + tenth;
  // The upper 24 bits of the draw, so that the product stays exact in a double.
  return least + Math.floor(((random() >>> 8) * (most - least + 1)) / 2 ** 24);
}
