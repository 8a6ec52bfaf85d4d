/** The figure of merit of a session that flaps, in the manner of RFC 2439. Pure, given the time. */
import type { Damping } from '../engine/engine.js';

export class Damper {
  #figure = 0;
  /** When the figure was what it is. */
  #atMs = 0;
  #isSuppressing = false;

  /** The session went Down from Up, so many times. */
  down(nowMs: number, damping: Damping, times = 1): void {
    const { penalty, suppressAbove, reuseBelow, halfLifeMs, maxSuppressMs } = damping;
    this.#decay(nowMs, damping);
    const most = reuseBelow * 2 ** (maxSuppressMs / halfLifeMs);
    this.#figure = Math.min(this.#figure + penalty * times, most);
    if (this.#figure > suppressAbove) this.#isSuppressing = true;
  }

  /** The session came Up: until when its routes are suppressed; `undefined` if they are not. */
  up(nowMs: number, damping: Damping): number | undefined {
    this.#decay(nowMs, damping);
    if (!this.#isSuppressing) return undefined;
    return nowMs + damping.halfLifeMs * Math.log2(this.#figure / damping.reuseBelow);
  }

  #decay(nowMs: number, { halfLifeMs, reuseBelow }: Damping): void {
    this.#figure *= 2 ** ((this.#atMs - nowMs) / halfLifeMs);
    this.#atMs = nowMs;
    if (this.#figure <= reuseBelow) this.#isSuppressing = false;
  }
}
