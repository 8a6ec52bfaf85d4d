/** The recent scheduling delays of this process. They tell whether a silence may be caused by this host. */

/** Shorter delays are everyday noise of the scheduler and are not kept. */
const MIN_DELAY_US = 1_000;
const MAX_KEPT = 64;

/**
 * Delays in the order of time, each smaller than the one before it: an earlier and smaller delay is never the longest of a
 * window that ends now.
 */
export class RecentDelays {
  readonly #kept: { at: number; delayUs: number }[] = [];
  #longestUs = 0;

  /** Notes a turn that began so late, at `now`. */
  note(now: number, delayUs: number): void {
    this.#longestUs = Math.max(this.#longestUs, delayUs);
    this.noteReceive(now, delayUs);
  }

  /** Notes that packets were read so late, until `now`: no turn that began late. */
  noteReceive(now: number, delayUs: number): void {
    if (delayUs < MIN_DELAY_US) return;
    while ((this.#kept.at(-1)?.delayUs ?? Infinity) <= delayUs) this.#kept.pop();
    if (this.#kept.length === MAX_KEPT) this.#kept.shift();
    this.#kept.push({ at: now, delayUs });
  }

  /** The longest delay at or after `start`, in microseconds. */
  longestSince(start: number): number {
    return this.#kept.find(({ at }) => at >= start)?.delayUs ?? 0;
  }

  /** The longest delay of all, in microseconds. */
  get longest(): number {
    return this.#longestUs;
  }
}
