/** Which scopes are shown: addresses come and go, and each has some thirty series. */
import { monotonicNow } from '../base/clock.js';

/** So long a scope without sessions and routes is shown, in milliseconds: longer than a scraper takes to read what was last. */
export const SHOWN_AFTER_MS = 300_000;

interface Named {
  readonly iface: string;
  readonly localIP: string;
}

/** Addresses that no session ever had share this one on each interface. */
export const STRANGERS = '0.0.0.0';

export class LivingScopes {
  /** When each was last seen with a session or a route. */
  readonly #seen = new Map<string, number>();

  /** Notes which scopes have something that lives, and gives what tells whether one is shown. */
  look(living: Iterable<Named>, known: readonly Named[]): (scope: Named) => boolean {
    const now = monotonicNow();
    for (const scope of living) this.#seen.set(keyOf(scope), now);
    for (const scope of known) if (!this.#seen.has(keyOf(scope))) this.#seen.set(keyOf(scope), now);
    return (scope) => scope.localIP === STRANGERS || now - (this.#seen.get(keyOf(scope)) ?? now) < SHOWN_AFTER_MS;
  }
}

function keyOf({ iface, localIP }: Named): string {
  return `${iface} ${localIP}`;
}
