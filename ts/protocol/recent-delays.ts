/** How late this process itself was, lately: the answer to "was it the peer or was it me". */

/** Lateness below this is the scheduler's everyday noise and not kept. */
const NOTEWORTHY_US = 1_000;
const MOST_KEPT = 64;

/** Stalls in the order of time, each smaller than the one before it: an older and smaller one is the worst of no window. */
export class Stalls {
  readonly #kept: { at: number; latenessUs: number }[] = [];
  #worstUs = 0;

  /** Notes that at `now` the process was so late. */
  note(now: number, latenessUs: number): void {
    this.#worstUs = Math.max(this.#worstUs, latenessUs);
    if (latenessUs < NOTEWORTHY_US) return;
    while ((this.#kept.at(-1)?.latenessUs ?? Infinity) <= latenessUs) this.#kept.pop();
    if (this.#kept.length === MOST_KEPT) this.#kept.shift();
    this.#kept.push({ at: now, latenessUs });
  }

  /** The worst lateness noted at or after `start`, in microseconds. */
  worstSince(start: number): number {
    return this.#kept.find(({ at }) => at >= start)?.latenessUs ?? 0;
  }

  /** The worst lateness of all, in microseconds. */
  get worst(): number {
    return this.#worstUs;
  }
}
