/** Keeps the routes of any backend as their sessions want them. */
import { messageOf, toError } from '../base/errors.js';
import type { RouteLoss, RouteReaderWriter } from './reader-writer.js';
import { formatSlot, type Route } from '../base/route.js';
import type { RouteId, RouteScopeStats } from '../engine/engine.js';
import {
  type InstallerWarning,
  type OperationListener,
  type RegisteredRoute,
  type RouteInstaller,
  type RouteStatus,
  UNKNOWN,
} from './installer.js';
import { Listings } from './listings.js';
import { RetryGate } from './retry-gate.js';
import { RouteCounters } from './route-counters.js';
import { type InstallerRules, type KeeperMeans, RouteKeeper } from './slot-reconciler.js';

/** So many retries run at once; first attempts are not counted. */
const MOST_RETRIES = 64;

/**
 * One keeper per slot. It outlives its registration while calls are under way: what a late call does belongs to whoever
 * owns the slot by then, or to nobody, and is taken back.
 */
export class BackendInstaller implements RouteInstaller {
  readonly #means: KeeperMeans;
  readonly #keepers = new Map<RouteId, RouteKeeper>();
  /** Of registrations that have ended, by slot. */
  readonly #former = new Map<string, RouteKeeper>();
  readonly #unwatch: () => void;
  /** By slot; filled when the first loss is told. */
  #bySlot: Map<string, RouteKeeper> | undefined = undefined;
  #closed = false;

  constructor(backend: RouteReaderWriter, rules: InstallerRules, listener: OperationListener, warn: InstallerWarning = () => undefined) {
    const [listings, counters, gate] = [new Listings(backend), new RouteCounters(), new RetryGate(MOST_RETRIES)];
    const finished = (keeper: RouteKeeper): void => {
      this.#finished(keeper);
    };
    this.#means = { backend, listings, rules, listener, counters, gate, warn, finished };
    this.#unwatch = this.#watch(backend);
  }

  add(registered: readonly RegisteredRoute[]): void {
    for (const one of registered) this.#add(one);
  }

  changed(registered: RegisteredRoute): void {
    const keeper = this.#keepers.get(registered.id);
    keeper?.advance();
    // Nothing moves: what the session does is seen when it is done.
    if (this.#means.rules.passiveMode) keeper?.noteConvergence(registered.session.turn?.atUs);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    return this.#keepers.get(registered.id)?.confirmed() ?? Promise.resolve();
  }

  async remove(registered: RegisteredRoute): Promise<void> {
    const keeper = this.#keepers.get(registered.id);
    if (keeper === undefined) return;
    await keeper.leave();
    if (keeper.gone && this.#keepers.get(registered.id) === keeper) this.#retire(keeper);
  }

  abandon(registered: RegisteredRoute): void {
    const keeper = this.#keepers.get(registered.id);
    if (keeper === undefined) return;
    this.#retire(keeper);
    // Whatever comes of it, nobody waits for it: the manager's end is no failure of it.
    keeper.leave().catch(() => undefined);
  }

  adopt(registered: RegisteredRoute): Promise<boolean> {
    return this.#keepers.get(registered.id)?.adopt() ?? Promise.resolve(false);
  }

  disturbed(registered: RegisteredRoute): void {
    this.#keepers.get(registered.id)?.disturbed();
  }

  status(registered: RegisteredRoute): RouteStatus {
    return this.#keepers.get(registered.id)?.status ?? UNKNOWN;
  }

  stats(): RouteScopeStats[] {
    return this.#means.counters.stats();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    for (const keeper of [...this.#keepers.values(), ...this.#former.values()]) keeper.stop();
    this.#keepers.clear();
    this.#former.clear();
  }

  #add(registered: RegisteredRoute): void {
    const known = this.#keepers.get(registered.id) ?? this.#former.get(slotOf(registered));
    this.#bySlot = undefined;
    if (known === undefined) {
      this.#keepers.set(registered.id, new RouteKeeper(registered, this.#means));
    } else {
      this.#former.delete(slotOf(registered));
      this.#keepers.set(registered.id, known);
      known.keep(registered);
    }
    this.changed(registered);
  }

  /** A keeper without a registration waits for the calls that are under way. */
  #retire(keeper: RouteKeeper): void {
    this.#keepers.delete(keeper.registered.id);
    this.#bySlot = undefined;
    if (!keeper.isFinished) this.#former.set(slotOf(keeper.registered), keeper);
  }

  #finished(keeper: RouteKeeper): void {
    const slot = slotOf(keeper.registered);
    if (this.#former.get(slot) === keeper) this.#former.delete(slot);
  }

  /** The backend is foreign: that it cannot be watched costs nothing else. */
  #watch(backend: RouteReaderWriter): () => void {
    const failed = (thrown: unknown): void => {
      const message = `routes that the backend loses are not noticed: ${messageOf(thrown)}`;
      this.#means.warn({ code: 'ERR_ROUTES_UNWATCHED', err: toError(thrown) }, message);
    };
    try {
      const unwatch = backend.watchRoutes?.({ lost: (routes, how) => this.#lost(routes, how), failed });
      return () => {
        try {
          unwatch?.();
        } catch (error) {
          failed(error);
        }
      };
    } catch (error) {
      failed(error);
      return () => undefined;
    }
  }

  #lost(routes: readonly Route[], how: RouteLoss): void {
    if (this.#closed) return;
    this.#bySlot ??= new Map([...this.#keepers.values()].map((keeper) => [slotOf(keeper.registered), keeper]));
    for (const route of routes) this.#bySlot.get(formatSlot(route))?.lost(route, how);
  }
}

function slotOf({ route }: RegisteredRoute): string {
  return formatSlot(route);
}
