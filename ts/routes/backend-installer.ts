/** Keeps the routes of any backend as their sessions want them. */
import { messageOf, toError } from '../base/errors.js';
import type { RouteLoss, RouteReaderWriter } from './reader-writer.js';
import { formatSlot, type Route } from '../base/route.js';
import type { RouteId, EndpointRouteStats } from '../engine/engine.js';
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
import { type InstallerOptions, type ReconcilerDependencies, SlotReconciler } from './slot-reconciler.js';

/** So many retries run at once; first attempts are not counted. */
const MOST_RETRIES = 64;

/**
 * One reconciler per slot. It outlives its registration while calls are under way: what a late call does belongs to whoever
 * owns the slot by then, or to nobody, and is taken back.
 */
export class BackendInstaller implements RouteInstaller {
  readonly #dependencies: ReconcilerDependencies;
  readonly #reconcilers = new Map<RouteId, SlotReconciler>();
  /** Of registrations that have ended, by slot. */
  readonly #retired = new Map<string, SlotReconciler>();
  readonly #unwatch: () => void;
  /** By slot; filled when the first loss is told. */
  #bySlot: Map<string, SlotReconciler> | undefined = undefined;
  #closed = false;

  constructor(backend: RouteReaderWriter, rules: InstallerOptions, listener: OperationListener, warn: InstallerWarning = () => undefined) {
    const [listings, counters, gate] = [new Listings(backend), new RouteCounters(), new RetryGate(MOST_RETRIES)];
    const finished = (reconciler: SlotReconciler): void => {
      this.#finished(reconciler);
    };
    this.#dependencies = { backend, listings, rules, listener, counters, gate, warn, finished };
    this.#unwatch = this.#watch(backend);
  }

  add(registered: readonly RegisteredRoute[]): void {
    for (const one of registered) this.#add(one);
  }

  changed(registered: RegisteredRoute): void {
    const reconciler = this.#reconcilers.get(registered.id);
    reconciler?.advance();
    // Nothing moves: what the session does is seen when it is done.
    if (this.#dependencies.rules.passiveMode) reconciler?.noteConvergence(registered.session.lastTransition?.atUs);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    return this.#reconcilers.get(registered.id)?.confirmed() ?? Promise.resolve();
  }

  async remove(registered: RegisteredRoute): Promise<void> {
    const reconciler = this.#reconcilers.get(registered.id);
    if (reconciler === undefined) return;
    await reconciler.leave();
    if (reconciler.gone && this.#reconcilers.get(registered.id) === reconciler) this.#retire(reconciler);
  }

  abandon(registered: RegisteredRoute): void {
    const reconciler = this.#reconcilers.get(registered.id);
    if (reconciler === undefined) return;
    this.#retire(reconciler);
    // Whatever comes of it, nobody waits for it: the manager's end is no failure of it.
    reconciler.leave().catch(() => undefined);
  }

  adopt(registered: RegisteredRoute): Promise<boolean> {
    return this.#reconcilers.get(registered.id)?.adopt() ?? Promise.resolve(false);
  }

  disturbed(registered: RegisteredRoute): void {
    this.#reconcilers.get(registered.id)?.disturbed();
  }

  status(registered: RegisteredRoute): RouteStatus {
    return this.#reconcilers.get(registered.id)?.status ?? UNKNOWN;
  }

  stats(): EndpointRouteStats[] {
    return this.#dependencies.counters.stats();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    for (const reconciler of [...this.#reconcilers.values(), ...this.#retired.values()]) reconciler.stop();
    this.#reconcilers.clear();
    this.#retired.clear();
  }

  #add(registered: RegisteredRoute): void {
    const known = this.#reconcilers.get(registered.id) ?? this.#retired.get(slotOf(registered));
    this.#bySlot = undefined;
    if (known === undefined) {
      this.#reconcilers.set(registered.id, new SlotReconciler(registered, this.#dependencies));
    } else {
      this.#retired.delete(slotOf(registered));
      this.#reconcilers.set(registered.id, known);
      known.keep(registered);
    }
    this.changed(registered);
  }

  /** A reconciler without a registration waits for the calls that are under way. */
  #retire(reconciler: SlotReconciler): void {
    this.#reconcilers.delete(reconciler.registered.id);
    this.#bySlot = undefined;
    if (!reconciler.isFinished) this.#retired.set(slotOf(reconciler.registered), reconciler);
  }

  #finished(reconciler: SlotReconciler): void {
    const slot = slotOf(reconciler.registered);
    if (this.#retired.get(slot) === reconciler) this.#retired.delete(slot);
  }

  /** The backend is foreign: that it cannot be watched costs nothing else. */
  #watch(backend: RouteReaderWriter): () => void {
    const failed = (thrown: unknown): void => {
      const message = `routes that the backend loses are not noticed: ${messageOf(thrown)}`;
      this.#dependencies.warn({ code: 'ERR_ROUTES_UNWATCHED', err: toError(thrown) }, message);
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
    this.#bySlot ??= new Map([...this.#reconcilers.values()].map((reconciler) => [slotOf(reconciler.registered), reconciler]));
    for (const route of routes) this.#bySlot.get(formatSlot(route))?.lost(route, how);
  }
}

function slotOf({ route }: RegisteredRoute): string {
  return formatSlot(route);
}
