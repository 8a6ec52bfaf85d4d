/** The public API: lifecycle, registration, and what is asked of a manager. */
import { addAbortListener } from 'node:events';
import type { AddressInfo } from 'node:net';

import { type Environment, SYSTEM } from '../base/environment.js';
import { closedError, ConfigError, LivenessError, messageOf, toError } from '../base/errors.js';
import { optionsOf, SIGNAL_SCHEMA } from '../base/fields.js';
import type { Peer, Route } from '../base/route.js';
import { BufferedListener } from '../engine/buffered-listener.js';
import type { Capabilities, Engine, EngineListener } from '../engine/engine.js';
import type { EngineFactory } from '../engine/select.js';
import { ArmedInstaller } from '../routes/armed-installer.js';
import type { RouteInstaller } from '../routes/installer.js';
import { checkedArray, checkedFilter, checkedHold, checkedPeer, checkedRefs, checkedRelease, checkedSweep } from './arguments.js';
import { publish } from './channels.js';
import { closeOptions, type CloseOptions, type ManagerConfig, type ResolvedConfig } from './config.js';
import { HandoverServer } from './handover.js';
import type { Holds } from './holds.js';
import type { RouteFilter } from './leftover-routes.js';
import type { ManagerEvents } from './manager-events.js';
import { ManagerLog } from './manager-log.js';
import { assembleParts } from './manager-parts.js';
import { type StartedEngine, startChecked, startOnThisHost, throwIfAborted } from './manager-start.js';
import { type MetricsReading, showMetrics } from './metrics-feed.js';
import type { MetricsReader } from './metrics-reader.js';
import { type RegisterOptions, type RegisterSessionOptions, validateRegisterOptions } from './register-options.js';
import type { RegisteredSession, Registration } from './registration-plan.js';
import type { RouteManager, RouteRef } from './route-manager.js';
import { SafeEmitter } from './safe-emitter.js';
import type { SessionChanges } from './session-changes.js';
import type { SessionSnapshot } from './session-snapshot.js';
import type { SnapshotReader } from './snapshot-reader.js';
import { type ManagerStats, toStats } from './stats.js';
import type { TransitionStreams } from './transition-streams.js';
import type { Transition } from './transitions.js';

/** Calls the private constructor; only this file can. */
let newManager: (started: StartedEngine, environment: Environment) => Manager;

/**
 * Sessions and the routes that depend on them (reference name: `Manager`).
 *
 * An open manager keeps its process alive, as a `net.Server` does. Closing a manager leaves its routes in the backend,
 * unwatched, unless `withdrawRoutes` is set.
 */
export class Manager extends SafeEmitter<ManagerEvents> implements AsyncDisposable {
  /**
   * Resolves when the manager is closed. Rejects if the engine stopped by itself, with the error of the `error` event; this
   * rejection never counts as unhandled.
   */
  readonly closed: Promise<void>;
  readonly #config: ResolvedConfig;
  readonly #log: ManagerLog;
  readonly #engine: Engine;
  readonly #installer: RouteInstaller;
  readonly #holds: Holds;
  readonly #routeManager: RouteManager;
  readonly #streams: TransitionStreams;
  readonly #changes: SessionChanges;
  readonly #snapshots: SnapshotReader;
  readonly #metricsReader: MetricsReader;
  readonly #endMetrics: (last: MetricsReading) => void;
  #handoverServer: HandoverServer | undefined;
  #settleClosed!: { resolve: () => void; reject: (error: Error) => void };
  #closing: Promise<void> | undefined;
  #failed: Error | undefined;

  /**
   * Opens the socket and starts the engine (reference name: `NewManager`).
   *
   * @param options.signal aborted before this resolves: rejects with `signal.reason`; aborted later: closes the manager
   * @throws ConfigError `ERR_CONFIG`, with every issue at once
   * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`; `ERR_RESUME_BUSY` where another process has the file of `resume` and does not
   * hand over within a second; the system's error where that file cannot be used; `EADDRINUSE` (with the process that holds the port, if the system tells),
   * `EADDRNOTAVAIL`, `EACCES` where the address cannot be bound; `EPERM` where the backend is `NetlinkRoutes` and the process lacks CAP_NET_ADMIN
   */
  static async start(config: ManagerConfig, options?: { signal?: AbortSignal | undefined }): Promise<Manager> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    return startManager(config, signal, startOnThisHost);
  }

  static {
    newManager = (started, environment) => new Manager(started, environment);
  }

  private constructor(started: StartedEngine, environment: Environment) {
    // JavaScript callers have no types that keep them from this.
    if (!((started as Partial<StartedEngine> | undefined)?.buffered instanceof BufferedListener))
      throw new ConfigError([{ path: '', message: 'A manager is made by `await Manager.start(config)`, not by `new`' }]);
    const { config, engine, buffered } = started;
    const log = new ManagerLog(config.logger, environment);
    super((error, event) => {
      log.listenerFailed(error, event);
    });
    this.#config = config;
    this.#log = log;
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = { resolve, reject };
    });
    this.closed.catch(() => {
      // The failure is logged and emitted: nobody has to handle this promise.
    });
    this.#engine = engine;
    const parts = assembleParts({
      ...{ started, environment, log },
      assertOpen: () => this.#assertOpen(),
      onTransition: (transition) => this.#publish('transition', transition),
      onRoute: (operation) => this.#publish('route', operation),
      onHold: (change) => this.#publish('hold', change),
    });
    this.#holds = parts.holds;
    this.#installer = parts.installer;
    this.#routeManager = parts.routeManager;
    this.#streams = parts.streams;
    this.#changes = parts.changes;
    this.#snapshots = parts.snapshots;
    this.#metricsReader = parts.metricsReader;
    const { metricsRegistry, metricsPrefix } = config;
    this.#endMetrics =
      metricsRegistry === undefined ? () => undefined : showMetrics(metricsRegistry, metricsPrefix, () => this.#metricsReader.read());
    buffered.attach(this.#listener());
    if (engine.resumed > 0) log.logger.info({ resumed: engine.resumed }, `${engine.resumed} sessions of a predecessor go on`);
    if (config.detectMult === 1) log.logger.warn({ detectMult: 1 }, 'detectMult 1: a single lost packet takes a session down');
  }

  /** The engine that runs. */
  get engine(): 'native' | 'js' {
    return this.#engine.kind;
  }

  /** What the engine can do on this host. */
  get capabilities(): Capabilities {
    return this.#engine.capabilities;
  }

  /** How many sessions of a predecessor go on (`resume` in the configuration): those of its state file whose peers still waited. */
  get resumed(): number {
    return this.#engine.resumed;
  }

  /** The bound address, the first of two (reference name: `LocalAddr`); `undefined` once closed. */
  localAddr(): AddressInfo | undefined {
    return this.#engine.localAddr();
  }

  /**
   * Registers a route, and starts its session unless another route has started it (reference name: `RegisterRoute`).
   * Registering the same route again updates it in place.
   *
   * Resolves once the route is accepted; in passive mode, once the backend has added it. After an error nothing is registered.
   *
   * @param iface the interface that reaches the peer
   * @throws LivenessError `ERR_INVALID_ROUTE`, `ERR_ROUTE_CONFLICT` (slot or protocol), `ERR_CONFIG` (options),
   * `ERR_NO_SUCH_INTERFACE`, `EADDRNOTAVAIL` (`src` is no address of this host, or none of `bindIP`), `ERR_TOO_MANY_SESSIONS`,
   * `ERR_ROUTE_BACKEND` (passive mode), `ERR_CLOSED`; the system's error if the sockets of multihop sessions cannot be opened
   */
  async registerRoute(route: Route, iface: string, options?: RegisterOptions): Promise<void> {
    this.#assertOpen();
    const validated = validateRegisterOptions(options, this.#config);
    await this.#routeManager.register([{ ...validated, route, iface }], (errors) => errors.get(0));
  }

  /**
   * Validates all routes, then registers all or none, with one call of the engine.
   *
   * @throws RoutesError with `{ index, code, message }` of each route that cannot be registered
   */
  async registerRoutes(registrations: readonly Registration[]): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.register(checkedArray(registrations, 'registrations') as Registration[], () => undefined);
  }

  /**
   * Withdraws a route (reference name: `WithdrawRoute`). A session ends with its last route, without an AdminDown
   * announcement. Withdrawing a route that is not registered does nothing.
   *
   * Resolves when the backend has confirmed.
   *
   * @throws LivenessError `ERR_ROUTE_BACKEND` after `routeTimeout`, while retries go on; `ERR_CLOSED`
   */
  async withdrawRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.withdraw([{ route, iface }]);
  }

  /**
   * Withdraws many routes. Rejects with the first failure, after all withdrawals have ended.
   *
   * @throws RoutesError with `{ index, code, message }` of each invalid route; nothing is withdrawn then
   */
  async withdrawRoutes(routes: readonly RouteRef[]): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.withdraw(checkedRefs(routes));
  }

  /**
   * Registers a session by itself, without a route: for agents that only want to know. It shares the session with routes to the
   * same peer, and keeps it when they are withdrawn. Registering the same session again updates it in place.
   *
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_INTERFACE`, `EADDRNOTAVAIL` (`localIP` is no address of this
   * host, or none of `bindIP`), `ERR_TOO_MANY_SESSIONS`, `ERR_CLOSED`; the system's error if the sockets of multihop sessions
   * cannot be opened
   */
  async registerSession(peer: Peer, options?: RegisterSessionOptions): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.registerSession(checkedPeer(peer), options);
  }

  /**
   * Ends the registration of `registerSession`. The session ends, without an AdminDown announcement, unless a route needs it.
   * Withdrawing a session that is not registered does nothing.
   *
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_CLOSED`
   */
  async withdrawSession(peer: Peer): Promise<void> {
    this.#assertOpen();
    this.#routeManager.withdrawSession(checkedPeer(peer));
    return Promise.resolve();
  }

  /**
   * Takes a route out of service: the route is withdrawn and stays registered. A session goes AdminDown when all its routes
   * are out of service.
   *
   * @throws LivenessError `ERR_INVALID_ROUTE` if the route is not registered, `ERR_CLOSED`
   */
  async adminDownRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.setAdminDown(route, iface, true);
  }

  /** Puts a route back in service. @throws as `adminDownRoute` */
  async adminUpRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.setAdminDown(route, iface, false);
  }

  /**
   * Adopts the registered routes that a previous process left in the backend: each counts as installed, and stays for 3.3 s
   * while its session comes Up. Call it once, after the routes are registered; a manager never adopts by itself.
   *
   * @returns the adopted routes
   * @throws LivenessError `ERR_CONFIG`, `ERR_ROUTE_BACKEND`, `ERR_CLOSED`
   */
  async adoptRoutes(filter: RouteFilter): Promise<Route[]> {
    this.#assertOpen();
    return this.#routeManager.leftovers.adopt(checkedFilter(filter));
  }

  /**
   * Deletes the routes of a protocol and a table that are not registered here: those of a previous process that are no longer
   * needed. Routes of other programs with the same protocol number are deleted, too: try it with `dryRun` first. Routes of a
   * family that `bindIP` does not name stay. Of the kernel, next-hop objects of the protocol that nothing uses are deleted, too
   * (Linux 5.8). A manager never sweeps by itself.
   *
   * @returns the deleted routes; with `dryRun`, the routes that would be deleted
   * @throws RoutesError the routes that could not be deleted, after all were tried; LivenessError `ERR_CONFIG`,
   * `ERR_ROUTE_BACKEND`, `ERR_CLOSED`
   */
  async sweepRoutes(options: RouteFilter & { dryRun?: boolean | undefined }): Promise<Route[]> {
    this.#assertOpen();
    const { filter, dryRun } = checkedSweep(options);
    return this.#routeManager.leftovers.sweep(filter, dryRun);
  }

  /**
   * Holds sessions for a while, for maintenance: no route of theirs is withdrawn on a Down. Sessions run, come Up and go Down as
   * ever. The hold ends by itself: then the routes of the sessions that are not Up are withdrawn. It keeps no route that is
   * withdrawn by name, or taken out of service.
   *
   * @param options.duration how long, in milliseconds from now, up to a day; it replaces what was said before
   * @param options.peers the sessions. Default: all, those that are registered later included
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_SESSION` if one of the peers has no session, `ERR_CLOSED`
   */
  async hold(options: { duration: number; peers?: readonly Peer[] | undefined }): Promise<void> {
    this.#assertOpen();
    const { duration, peers } = checkedHold(options);
    this.#holds.hold(peers, duration);
    return Promise.resolve();
  }

  /**
   * Ends a hold: of these sessions, or of all, single ones included. What is not held stays as it is.
   *
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_SESSION`, `ERR_CLOSED`
   */
  async release(options?: { peers?: readonly Peer[] | undefined }): Promise<void> {
    this.#assertOpen();
    this.#holds.release(checkedRelease(options).peers);
    return Promise.resolve();
  }

  /** Until when all sessions are held; `undefined` if they are not. */
  get heldUntil(): Date | undefined {
    return this.#holds.allUntil;
  }

  /**
   * Resolves when the engine has taken everything that it was told before: its thread lives.
   *
   * @throws LivenessError `ERR_ENGINE_STOPPED` if it does not answer within 5 s, `ERR_CLOSED`
   */
  async ping(): Promise<void> {
    this.#assertOpen();
    await this.#engine.ping();
  }

  /** The present state of all sessions (reference name: `GetSessions`). @throws LivenessError `ERR_CLOSED` */
  getSessions(): SessionSnapshot[] {
    this.#assertOpen();
    return this.#snapshots.read();
  }

  /**
   * The present state of the session with a peer, `undefined` if there is none (reference name: `GetSession`).
   *
   * @throws ConfigError `ERR_CONFIG` unless the peer is an interface and two addresses of one family; LivenessError `ERR_CLOSED`
   */
  getSession(peer: Peer): SessionSnapshot | undefined {
    this.#assertOpen();
    const session = this.#routeManager.registry.session(checkedPeer(peer));
    return session === undefined ? undefined : this.#snapshots.read([session.id])[0];
  }

  /** Counters of the engine and the routes. @throws LivenessError `ERR_CLOSED` */
  stats(): ManagerStats {
    this.#assertOpen();
    const stats = this.#engine.stats();
    const { registeredCount } = this.#routeManager.registry;
    return toStats(stats, registeredCount, [...stats.routes, ...this.#installer.stats()]);
  }

  /**
   * All transitions from now on. A slow consumer gets one record per session, with the newest state and the number of
   * transitions. When more than `maxEvents` records wait, those of ended sessions are dropped and a warning is logged. The
   * iteration ends when the manager closes or the signal aborts, and throws if the engine stops by itself.
   *
   * @throws ConfigError `ERR_CONFIG`
   */
  transitions(options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<Transition> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    return this.#streams.open(signal);
  }

  /** Keeps the process alive while the manager is open. This is the default. */
  ref(): this {
    this.#engine.ref();
    return this;
  }

  /** Lets the process exit while the manager is open. */
  unref(): this {
    this.#engine.unref();
    return this;
  }

  /**
   * Ends threads, socket and timers (reference name: `Close`). The defaults are those of `config.onClose`. Routes stay in the
   * kernel, unwatched, unless `withdrawRoutes` is set. Idempotent: concurrent calls wait for the same closing.
   *
   * @throws ConfigError `ERR_CONFIG`: the manager stays open
   */
  async close(options?: CloseOptions): Promise<void> {
    const given = closeOptions(options);
    this.#closing ??= this.#close({ ...this.#config.onClose, ...given });
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * @internal Registers routes, and sessions by themselves, all or none, so that a session which both need can change in place. Of
   * the routes, those with the indexes `outOfService` are out of service from the beginning.
   */
  async registerTogether(
    registrations: readonly Registration[],
    sessions: readonly RegisteredSession[],
    outOfService: readonly number[] = [],
  ): Promise<void> {
    this.#assertOpen();
    await this.#routeManager.register(registrations, () => undefined, { sessions, outOfService });
  }

  /** @internal Answers a successor that asks for the state file, if there is one, and closes when the signal aborts. */
  async serve(signal: AbortSignal | undefined): Promise<void> {
    const { resume } = this.#config;
    if (resume !== undefined) this.#handoverServer = await HandoverServer.listen(resume, () => this.#handOver());
    if (signal === undefined) return;
    const listener = addAbortListener(signal, () => this.#closeInBackground({}));
    const remove = (): void => listener[Symbol.dispose]();
    this.closed.then(remove, remove);
  }

  /** First the engine, since the peers wait; then the listeners. */
  async #handOver(): Promise<void> {
    this.#assertOpen();
    const closing = this.close({ adminDown: false, withdrawRoutes: false });
    this.#log.logger.info({}, 'a successor takes over the sessions');
    this.deliver('handover');
    await closing;
  }

  #listener(): EngineListener {
    return {
      sessions: (records) => {
        this.#changes.apply(records);
      },
      routes: (outcomes) => {
        if (this.#installer instanceof ArmedInstaller) this.#installer.outcomes(outcomes);
      },
      warning: (code, message) => {
        this.#log.warning(code, message);
      },
      fatal: (error) => {
        this.#fail(error);
      },
    };
  }

  /** Tells the listeners, and whoever subscribes to the channel of this name. */
  #publish<K extends Exclude<keyof ManagerEvents, 'handover'>>(event: K, ...values: ManagerEvents[K]): void {
    publish(event, this, values[0]);
    this.deliver(event, ...values);
  }

  async #close(options: CloseOptions): Promise<void> {
    this.#handoverServer?.close();
    this.#metricsReader.hidePeers();
    try {
      if (this.#failed !== undefined) await this.#withdrawAfterFailure();
      else if (options.withdrawRoutes === true) await this.#routeManager.withdrawAll();
    } catch (error) {
      this.#log.logger.error({ err: toError(error) }, `not all routes were withdrawn: ${messageOf(error)}`);
    }
    this.#holds.maintenance.close();
    // From here on no transition changes a route.
    this.#routeManager.close();
    this.#streams.close();
    this.#metricsReader.read();
    try {
      const { adminDown = false, withdrawRoutes } = options;
      const last = await this.#engine.close(withdrawRoutes === true ? { adminDown, forget: true } : { adminDown });
      this.#endMetrics(this.#metricsReader.final(last));
    } finally {
      this.#log.flush();
      this.#log.logger.info({}, 'closed');
      this.#settleClosed.resolve();
    }
  }

  /** The engine has withdrawn armed routes before it told of its end. */
  async #withdrawAfterFailure(): Promise<void> {
    const { onFatal, passiveMode } = this.#config;
    if (onFatal === 'keep' || passiveMode || this.#installer instanceof ArmedInstaller) return;
    await this.#routeManager.withdrawAll(({ id }) => this.#holds.maintenance.heldUntil(id) === undefined);
  }

  #fail(error: Error): void {
    if (this.#failed !== undefined || this.#closing !== undefined) return;
    this.#failed = error;
    this.#log.engineStopped(error, this.listenerCount('error') > 0);
    this.#settleClosed.reject(error);
    this.#streams.fail(error);
    this.#publish('error', error);
    this.#closeInBackground({ adminDown: false, withdrawRoutes: false });
  }

  /** Closes without a caller that waits: a failure is logged. Callers of `close` get the same rejection. */
  #closeInBackground(options: CloseOptions): void {
    this.close(options).catch((error: unknown) => {
      this.#log.logger.error({ err: error }, `closing failed: ${messageOf(error)}`);
    });
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#failed !== undefined) throw new LivenessError('ERR_CLOSED', 'The engine has stopped', { cause: this.#failed });
  }
}

/** @internal `Manager.start` with another way to start an engine, and another clock. */
export async function startManager(
  config: ManagerConfig,
  signal: AbortSignal | undefined,
  startWith: EngineFactory,
  environment = SYSTEM,
): Promise<Manager> {
  return createManager(await startChecked(config, signal, startWith), environment, signal);
}

/** Makes a manager of a running engine. Closes the engine if that fails, since a logger or a registry may throw. */
async function createManager(started: StartedEngine, environment: Environment, signal: AbortSignal | undefined): Promise<Manager> {
  let manager: Manager | undefined;
  try {
    throwIfAborted(signal);
    manager = newManager(started, environment);
    await manager.serve(signal);
    return manager;
  } catch (error) {
    await (manager?.close({ adminDown: false, withdrawRoutes: false }) ?? started.engine.close({ adminDown: false }));
    throw error;
  }
}
