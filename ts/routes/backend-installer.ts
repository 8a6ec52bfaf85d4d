/** Installs and withdraws the routes of a called backend, as their sessions require. */
import { type Environment, SYSTEM } from '../base/environment.js';
import { messageOf, toError } from '../base/errors.js';
import type { RouteLoss, RouteReaderWriter } from './reader-writer.js';
import { formatSlot, type Route } from '../base/route.js';
import type { RouteId, EndpointRouteStats, SessionId } from '../engine/engine.js';
import type { InstallerOptions } from './desired-state.js';
import {
  type InstallerWarning,
  type Leg,
  type OperationListener,
  type RegisteredRoute,
  type RouteInstaller,
  type RouteStatus,
  type SuppressionListener,
  UNKNOWN,
} from './installer.js';
import { Listings } from './listings.js';
import { RetryGate } from './retry-gate.js';
import { RouteCounters } from './route-counters.js';
import { type ReconcilerDependencies, SlotReconciler } from './slot-reconciler.js';

/** The most retries that run at once. First attempts are not limited. */
const MAX_RETRIES = 64;

/**
 * One reconciler per slot. It outlives its registration while calls are pending: a late call may still change the slot, which
 * by then may be registered again, or has to be empty.
 */
export class BackendInstaller implements RouteInstaller {
  readonly #dependencies: ReconcilerDependencies;
  readonly #reconcilers = new Map<RouteId, SlotReconciler>();
  /** Reconcilers whose registration has ended, by slot. */
  readonly #retired = new Map<string, SlotReconciler>();
  readonly #unwatch: () => void;
  /** By slot; made when the first loss is reported. */
  #bySlot: Map<string, SlotReconciler> | undefined = undefined;
  #closed = false;

  constructor(
    backend: RouteReaderWriter,
    options: InstallerOptions,
    listener: OperationListener,
    warn: InstallerWarning = () => undefined,
    environment: Environment = SYSTEM,
    suppressed: SuppressionListener = () => undefined,
  ) {
    const [listings, counters, gate] = [new Listings(backend), new RouteCounters(), new RetryGate(MAX_RETRIES)];
    const finished = (reconciler: SlotReconciler): void => {
      this.#finished(reconciler);
    };
    const [retrying, waiting, onBackup] = [new Set<SlotReconciler>(), new Set<SlotReconciler>(), new Set<SlotReconciler>()];
    const told = { listener, warn, suppressed, finished };
    this.#dependencies = { backend, listings, options, counters, gate, environment, retrying, waiting, onBackup, ...told };
    this.#unwatch = this.#watch(backend);
  }

  add(registered: readonly RegisteredRoute[]): void {
    for (const route of registered) this.#add(route);
  }

  changed(registered: RegisteredRoute): void {
    const reconciler = this.#reconcilers.get(registered.id);
    reconciler?.advance();
    // In passive mode transitions have no effect on routes: convergence ends with the transition itself.
    if (this.#dependencies.options.passiveMode) reconciler?.noteConvergence(registered.session.lastTransition?.atUs);
  }

  confirmed(registered: RegisteredRoute): Promise<void> {
    return this.#reconcilers.get(registered.id)?.confirmed() ?? Promise.resolve();
  }

  async remove(registered: RegisteredRoute): Promise<void> {
    const reconciler = this.#reconcilers.get(registered.id);
    if (reconciler === undefined) return;
    await reconciler.remove();
    if (reconciler.gone && this.#reconcilers.get(registered.id) === reconciler) this.#retire(reconciler);
  }

  abandon(registered: RegisteredRoute): void {
    const reconciler = this.#reconcilers.get(registered.id);
    if (reconciler === undefined) return;
    this.#retire(reconciler);
    // No caller waits for the result, which may be ERR_CLOSED.
    reconciler.remove().catch(() => undefined);
  }

  adopt(registered: RegisteredRoute, leg: Leg): Promise<boolean> {
    return this.#reconcilers.get(registered.id)?.adopt(leg) ?? Promise.resolve(false);
  }

  disturbed(registered: RegisteredRoute): void {
    this.#reconcilers.get(registered.id)?.disturbed();
  }

  status(registered: RegisteredRoute): RouteStatus {
    return this.#reconcilers.get(registered.id)?.status ?? UNKNOWN;
  }

  setMaintenance(sessions: readonly SessionId[] | undefined): void {
    const concerned = sessions === undefined ? undefined : new Set(sessions);
    for (const reconciler of this.#reconcilers.values()) {
      const { session, backup } = reconciler.registered;
      const isConcerned = concerned === undefined || concerned.has(session.id) || (backup?.session && concerned.has(backup.session.id));
      if (isConcerned === true) reconciler.advance();
    }
  }

  *retrying(): Iterable<RegisteredRoute> {
    for (const { registered } of this.#dependencies.retrying) yield registered;
  }

  *suppressed(): Iterable<RegisteredRoute> {
    for (const { isSuppressed, registered } of this.#dependencies.waiting) if (isSuppressed) yield registered;
  }

  *onBackup(): Iterable<RegisteredRoute> {
    for (const { registered } of this.#dependencies.onBackup) yield registered;
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

  /** Keeps a reconciler without a registration until its pending calls have ended. */
  #retire(reconciler: SlotReconciler): void {
    this.#reconcilers.delete(reconciler.registered.id);
    this.#bySlot = undefined;
    if (!reconciler.isFinished) this.#retired.set(slotOf(reconciler.registered), reconciler);
  }

  #finished(reconciler: SlotReconciler): void {
    const slot = slotOf(reconciler.registered);
    if (this.#retired.get(slot) === reconciler) this.#retired.delete(slot);
  }

  /** A backend that cannot be watched is a warning; everything else works. */
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
