/** Counters of the routes of a called backend, per local endpoint. The engine counts the routes that it arms. */
import { addressText, type PackedAddress } from '../base/address.js';
import type { EndpointRouteStats } from '../engine/engine.js';
import { CONVERGENCE_BOUNDS, DurationHistogram } from '../metrics/duration-histogram.js';
import type { RegisteredRoute } from './installer.js';

/** The counters of one endpoint. */
class RouteCounts {
  installed = 0;
  adds = 0;
  addFailures = 0;
  deletes = 0;
  deleteFailures = 0;
  restored = 0;
  restoresDelayed = 0;
  readonly convergenceToUp = new DurationHistogram(CONVERGENCE_BOUNDS);
  readonly convergenceToDown = new DurationHistogram(CONVERGENCE_BOUNDS);
}

/** The local endpoint of a route: an interface, and the packed source address. */
export interface RouteEndpoint {
  readonly iface: string;
  readonly source: PackedAddress;
}

export class RouteCounters {
  readonly #endpoints = new Map<string, { iface: string; localIP: string; counts: RouteCounts }>();

  answered(registered: RegisteredRoute, op: 'add' | 'delete', ok: boolean): void {
    const counts = this.#at(registered);
    if (op === 'add') counts[ok ? 'adds' : 'addFailures'] += 1;
    else counts[ok ? 'deletes' : 'deleteFailures'] += 1;
  }

  installed(endpoint: RouteEndpoint, change: 1 | -1): void {
    this.#at(endpoint).installed += change;
  }

  /** Counts a route that another program deleted and that is put back, possibly after a delay. */
  lost(registered: RegisteredRoute, delayed: boolean): void {
    const counts = this.#at(registered);
    counts.restored += 1;
    if (delayed) counts.restoresDelayed += 1;
  }

  /** Counts the seconds from the cause of a transition to the backend's confirmation of the route's change. */
  converged(registered: RegisteredRoute, up: boolean, seconds: number): void {
    this.#at(registered)[up ? 'convergenceToUp' : 'convergenceToDown'].observe(Math.max(0, seconds));
  }

  /** The present values, copied. */
  stats(): EndpointRouteStats[] {
    return [...this.#endpoints.values()].map(({ iface, localIP, counts }) => {
      const { installed, adds, addFailures, deletes, deleteFailures, restored, restoresDelayed, convergenceToUp, convergenceToDown } =
        counts;
      const counted = { installed, adds, addFailures, deletes, deleteFailures, restored, restoresDelayed };
      return { iface, localIP, ...counted, convergenceToUp: convergenceToUp.stats(), convergenceToDown: convergenceToDown.stats() };
    });
  }

  #at({ iface, source }: RouteEndpoint): RouteCounts {
    const key = `${iface} ${source}`;
    const known = this.#endpoints.get(key);
    if (known !== undefined) return known.counts;
    const counts = new RouteCounts();
    this.#endpoints.set(key, { iface, localIP: addressText(source), counts });
    return counts;
  }
}

/** Counts one route as installed, at one endpoint at a time: the registration may move to another. */
export class InstalledCount {
  readonly #counters: RouteCounters;
  #countedAt: RouteEndpoint | undefined = undefined;

  constructor(counters: RouteCounters) {
    this.#counters = counters;
  }

  /** `undefined` where the route is not installed. */
  set(endpoint: RouteEndpoint | undefined): void {
    const counted = this.#countedAt;
    if (counted?.iface === endpoint?.iface && counted?.source === endpoint?.source) return;
    if (counted !== undefined) this.#counters.installed(counted, -1);
    this.#countedAt = endpoint && { iface: endpoint.iface, source: endpoint.source };
    if (endpoint !== undefined) this.#counters.installed(endpoint, 1);
  }
}
