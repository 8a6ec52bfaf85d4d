/** Which local endpoints metrics show: addresses come and go, and each endpoint has some thirty series. */
import type { Environment } from '../base/environment.js';

/** How long an endpoint without sessions and routes is shown, in milliseconds: long enough for every scraper to read its last values. */
export const SHOWN_AFTER_MS = 300_000;

/** The local address under which an interface counts packets to addresses that have no session. */
export const UNKNOWN_PEERS = '0.0.0.0';

interface Endpoint {
  readonly iface: string;
  readonly localIP: string;
}

export class ShownEndpoints {
  /** When each endpoint last had a session or a route. */
  readonly #lastActive = new Map<string, number>();

  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Notes the active endpoints. Returns a function that tells whether an endpoint is shown. */
  update(active: Iterable<Endpoint>, known: readonly Endpoint[]): (endpoint: Endpoint) => boolean {
    const now = this.#environment.now();
    for (const endpoint of active) this.#lastActive.set(keyOf(endpoint), now);
    for (const endpoint of known) if (!this.#lastActive.has(keyOf(endpoint))) this.#lastActive.set(keyOf(endpoint), now);
    return (endpoint) => endpoint.localIP === UNKNOWN_PEERS || now - (this.#lastActive.get(keyOf(endpoint)) ?? now) < SHOWN_AFTER_MS;
  }
}

function keyOf({ iface, localIP }: Endpoint): string {
  return `${iface} ${localIP}`;
}
