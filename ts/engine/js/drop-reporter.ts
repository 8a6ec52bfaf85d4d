/** What the log is told of received packets that were dropped: one line per kind in five seconds, however many there were. */
import type { ScopeStats } from '../engine.js';

const QUIET_US = 5_000_000;
const NO_NEWS: never[] = [];

export class Refusals {
  readonly #told = new Map<string, number>();
  #lookedAt = -Infinity;

  /** How many packets were dropped since the last news, by why; nothing within five seconds of those. */
  news(scopes: () => readonly ScopeStats[], nowUs: number): { kind: string; count: number }[] {
    if (nowUs - this.#lookedAt < QUIET_US) return NO_NEWS;
    this.#lookedAt = nowUs;
    const counted = new Map<string, number>();
    for (const { rxInvalid, unknownPeer } of scopes()) {
      for (const [kind, count] of Object.entries({ ...rxInvalid, unknown_peer: unknownPeer }))
        counted.set(kind, (counted.get(kind) ?? 0) + count);
    }
    return [...counted].flatMap(([kind, total]) => {
      const count = total - (this.#told.get(kind) ?? 0);
      this.#told.set(kind, total);
      return count === 0 ? [] : { kind, count };
    });
  }
}
