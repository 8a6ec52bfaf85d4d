/** Counters of the routes that a backend is called for, per (interface, local IP). The engine counts those that it arms. */
import { addressToText } from '../base/address.js';
import type { RouteScopeStats } from '../engine/engine.js';
import { CONVERGENCE_BOUNDS, Histogram } from '../metrics/histogram.js';
import type { RegisteredRoute } from './installer.js';

/** What is counted of one scope. */
class Scope {
  installed = 0;
  adds = 0;
  addFailures = 0;
  deletes = 0;
  deleteFailures = 0;
  restored = 0;
  restoresDelayed = 0;
  readonly convergenceToUp = new Histogram(CONVERGENCE_BOUNDS);
  readonly convergenceToDown = new Histogram(CONVERGENCE_BOUNDS);
}

/** What routes are counted in: an interface, and a local address as a number. */
export interface CountedScope {
  readonly iface: string;
  readonly source: number;
}

export class RouteCounters {
  readonly #scopes = new Map<string, { iface: string; localIP: string; scope: Scope }>();

  answered(registered: RegisteredRoute, op: 'add' | 'delete', ok: boolean): void {
    const scope = this.#at(registered);
    if (op === 'add') scope[ok ? 'adds' : 'addFailures'] += 1;
    else scope[ok ? 'deletes' : 'deleteFailures'] += 1;
  }

  installed(scope: CountedScope, change: 1 | -1): void {
    this.#at(scope).installed += change;
  }

  /** Somebody took a route away that is put back, possibly after a delay. */
  lost(registered: RegisteredRoute, delayed: boolean): void {
    const scope = this.#at(registered);
    scope.restored += 1;
    if (delayed) scope.restoresDelayed += 1;
  }

  /** A session's change has reached the route after so many seconds. */
  converged(registered: RegisteredRoute, up: boolean, seconds: number): void {
    this.#at(registered)[up ? 'convergenceToUp' : 'convergenceToDown'].observe(Math.max(0, seconds));
  }

  /** The counters as they are now, copied. */
  stats(): RouteScopeStats[] {
    return [...this.#scopes.values()].map(({ iface, localIP, scope }) => {
      const { installed, adds, addFailures, deletes, deleteFailures, restored, restoresDelayed, convergenceToUp, convergenceToDown } =
        scope;
      const counted = { installed, adds, addFailures, deletes, deleteFailures, restored, restoresDelayed };
      return { iface, localIP, ...counted, convergenceToUp: convergenceToUp.stats(), convergenceToDown: convergenceToDown.stats() };
    });
  }

  #at({ iface, source }: CountedScope): Scope {
    const key = `${iface} ${source}`;
    const known = this.#scopes.get(key);
    if (known !== undefined) return known.scope;
    const scope = new Scope();
    this.#scopes.set(key, { iface, localIP: addressToText(source), scope });
    return scope;
  }
}
