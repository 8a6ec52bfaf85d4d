/** Reports received packets that were dropped: at most one line per reason in five seconds. */
import type { EndpointStats } from '../engine.js';

const INTERVAL_US = 5_000_000;
const NOTHING: never[] = [];

export class DropReporter {
  /** By reason: how many drops were reported so far. */
  readonly #reported = new Map<string, number>();
  #lastReport = -Infinity;

  /** The number of drops per reason since the last report; nothing within five seconds of that. */
  report(stats: () => readonly EndpointStats[], nowUs: number): { reason: string; count: number }[] {
    if (nowUs - this.#lastReport < INTERVAL_US) return NOTHING;
    this.#lastReport = nowUs;
    const totals = new Map<string, number>();
    for (const { rxInvalid, unknownPeer } of stats()) {
      for (const [reason, count] of Object.entries({ ...rxInvalid, unknown_peer: unknownPeer }))
        totals.set(reason, (totals.get(reason) ?? 0) + count);
    }
    return [...totals].flatMap(([reason, total]) => {
      const count = total - (this.#reported.get(reason) ?? 0);
      this.#reported.set(reason, total);
      return count === 0 ? [] : { reason, count };
    });
  }
}
