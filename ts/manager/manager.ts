/** The public API: lifecycle, registration, events. */
import { addAbortListener } from 'node:events';
import type { AddressInfo } from 'node:net';

import { type Environment, SYSTEM } from '../base/environment.js';
import { closedError, ConfigError, LivenessError, messageOf, toError } from '../base/errors.js';
import { optionsOf, SIGNAL_SCHEMA } from '../base/fields.js';
import { formatPeer, type Peer, type Route } from '../base/route.js';
import { BufferedListener } from '../engine/buffered-listener.js';
import type { Capabilities, Engine, EngineListener, SessionRecord } from '../engine/engine.js';
import { type EngineFactory, startEngine } from '../engine/select.js';
import { ArmedInstaller } from '../routes/armed-installer.js';
import { BackendInstaller } from '../routes/backend-installer.js';
import type { RouteInstaller, RouteOperation, SuppressionListener } from '../routes/installer.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import { checkedArray, checkedFilter, checkedHold, checkedPeer, checkedRefs, checkedRelease, checkedSweep } from './arguments.js';
import { explained } from './bind-failure.js';
import { closeOptions, type CloseOptions, type ManagerConfig, type ResolvedConfig, validateConfig } from './config.js';
import { toEngineOptions } from './engine-options.js';
import type { RouteFilter } from './leftover-routes.js';
import type { ManagedSession } from './managed-session.js';
import { checkRegistry, type MetricsReading, showMetrics } from './metrics-feed.js';
import { publish } from './channels.js';
import { HandoverServer } from './handover.js';
import { Maintenance } from './maintenance.js';
import { RecentDowns } from './mass-down.js';
import { ManagerLog } from './manager-log.js';
import { MetricsReader } from './metrics-reader.js';
import { type RegisterOptions, type RegisterSessionOptions, validateRegisterOptions } from './register-options.js';
import type { Registration } from './registration-plan.js';
import { RouteManager, type RouteRef } from './route-manager.js';
import { SafeEmitter } from './safe-emitter.js';
import { type SessionSnapshot, toSessionSnapshot } from './session-snapshot.js';
import { type ManagerStats, toStats } from './stats.js';
import { TransitionStreams } from './transition-streams.js';
import { toTransition, type Transition } from './transitions.js';

/** What a manager emits. */
export interface ManagerEvents {
  /** The state of a session has changed. */
  transition: [Transition];
  /** An operation on a route has succeeded or failed. */
  route: [RouteOperation];
  /** Sessions are held, or no longer. */
  hold: [HoldChange];
  /** A successor has taken over the sessions (`resume` in its configuration): this manager closes, and leaves its routes. */
  handover: [];
  /**
   * The engine has stopped by itself: no session runs any more. Emitted at most once, and only if there is a listener. Without
   * a listener and without a logger, the process gets a warning with the code `ERR_ENGINE_STOPPED`.
   */
  error: [Error];
}

/** Sessions that are held, or are held no longer. */
export interface HoldChange {
  /** `undefined`: all sessions of the manager. */
  readonly peers: readonly Readonly<Peer>[] | undefined;
  /** `undefined`: the hold was released, or its time is over. */
  readonly until: Date | undefined;
}

/** Calls the private constructor; only this file can. */
let newManager: (config: ResolvedConfig, engine: Engine, buffered: BufferedListener, environment: Environment) => Manager;

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
  readonly #environment: Environment;
  readonly #log: ManagerLog;
  readonly #engine: Engine;
  readonly #installer: RouteInstaller;
  readonly #maintenance: Maintenance;
  readonly #recentDowns: RecentDowns | undefined;
  readonly #routeManager: RouteManager;
  readonly #streams: TransitionStreams;
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
    newManager = (config, engine, buffered, environment) => new Manager(config, engine, buffered, environment);
  }

  private constructor(config: ResolvedConfig, engine: Engine, buffered: BufferedListener, environment: Environment) {
    // JavaScript callers have no types that keep them from this.
    if (!(buffered instanceof BufferedListener))
      throw new ConfigError([{ path: '', message: 'A manager is made by `await Manager.start(config)`, not by `new`' }]);
    const log = new ManagerLog(config.logger, environment);
    super((error, event) => {
      log.listenerFailed(error, event);
    });
    this.#config = config;
    this.#environment = environment;
    this.#log = log;
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = { resolve, reject };
    });
    this.closed.catch(() => {
      // The failure is logged and emitted: nobody has to handle this promise.
    });
    this.#engine = engine;
    this.#recentDowns = config.massDown && new RecentDowns(config.massDown);
    this.#maintenance = new Maintenance(environment, {
      changed: (sessions, active) => {
        this.#installer.setMaintenance(sessions, active);
      },
      expired: (sessions) => {
        this.#reportHold(sessions && this.#peersOf(sessions), undefined, 'the hold is over');
      },
    });
    this.#installer = this.#newInstaller();
    this.#routeManager = new RouteManager({
      engine,
      installer: this.#installer,
      config,
      log: log.logger,
      environment,
      assertOpen: () => this.#assertOpen(),
      onPassive: () => {
        log.passiveRole();
      },
      onSessionEnd: (id) => {
        this.#maintenance.ended(id);
      },
    });
    const { registry } = this.#routeManager;
    this.#streams = new TransitionStreams({
      limit: config.maxEvents,
      exists: (peer) => registry.session(peer) !== undefined,
      onDropped: (count) => {
        log.transitionsDropped(count);
      },
    });
    const maintenance = this.#maintenance;
    this.#metricsReader = new MetricsReader({ engine, installer: this.#installer, registry, maintenance, config, environment });
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
    this.#maintenance.hold(peers && this.#sessionIdsOf(peers), duration);
    this.#reportHold(peers, new Date(Date.now() + duration), `held for ${duration} ms`);
    return Promise.resolve();
  }

  /**
   * Ends a hold: of these sessions, or of all, single ones included. What is not held stays as it is.
   *
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NO_SUCH_SESSION`, `ERR_CLOSED`
   */
  async release(options?: { peers?: readonly Peer[] | undefined }): Promise<void> {
    this.#assertOpen();
    const { peers } = checkedRelease(options);
    const sessions = peers && this.#sessionIdsOf(peers);
    if (!this.#maintenance.isActive) return Promise.resolve();
    this.#maintenance.release(sessions);
    this.#reportHold(peers, undefined, 'released');
    return Promise.resolve();
  }

  /** Until when all sessions are held; `undefined` if they are not. */
  get heldUntil(): Date | undefined {
    return this.#wallTime(this.#maintenance.allUntil);
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
    return this.#snapshots();
  }

  /**
   * The present state of the session with a peer, `undefined` if there is none (reference name: `GetSession`).
   *
   * @throws ConfigError `ERR_CONFIG` unless the peer is an interface and two addresses of one family; LivenessError `ERR_CLOSED`
   */
  getSession(peer: Peer): SessionSnapshot | undefined {
    this.#assertOpen();
    const session = this.#routeManager.registry.session(checkedPeer(peer));
    return session === undefined ? undefined : this.#snapshots([session.id])[0];
  }

  /** Counters of the engine and the routes. @throws LivenessError `ERR_CLOSED` */
  stats(): ManagerStats {
    this.#assertOpen();
    let registered = 0;
    for (const { withdrawing } of this.#routeManager.registry.routes()) registered += withdrawing ? 0 : 1;
    const stats = this.#engine.stats();
    return toStats(stats, registered, [...stats.routes, ...this.#installer.stats()]);
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

  /** @internal Closes when the signal aborts. */
  closeWith(signal: AbortSignal): void {
    const listener = addAbortListener(signal, () => this.#closeInBackground({}));
    const remove = (): void => listener[Symbol.dispose]();
    this.closed.then(remove, remove);
  }

  /** @internal Answers a successor that asks for the state file, if there is one. */
  async serveHandover(): Promise<void> {
    const { resume } = this.#config;
    if (resume === undefined) return;
    this.#handoverServer = await HandoverServer.listen(resume, () => this.#handOver());
  }

  /** First the engine, since the peers wait; then the listeners. */
  async #handOver(): Promise<void> {
    this.#assertOpen();
    const closing = this.close({ adminDown: false, withdrawRoutes: false });
    this.#log.logger.info({}, 'a successor takes over the sessions');
    this.deliver('handover');
    await closing;
  }

  #newInstaller(): RouteInstaller {
    const report = (operation: RouteOperation): void => {
      this.#log.operation(operation);
      this.#publish('route', operation);
    };
    const warn = (fields: object, message: string): void => {
      this.#log.routeWarning(fields, message);
    };
    const suppressed: SuppressionListener = (registered, until) => {
      this.#log.suppressed(registered, until);
    };
    const { netlinker, passiveMode } = this.#config;
    if (!passiveMode && netlinker instanceof NetlinkRoutes && this.#engine.arming !== undefined) {
      return new ArmedInstaller(this.#engine.arming, report, warn, suppressed);
    }
    const isMaintained = (session: number): boolean => this.#maintenance.heldUntil(session) !== undefined;
    const { honorPeerAdvertisedPassive, routeTimeout } = this.#config;
    const options = { passiveMode, honorPeerAdvertisedPassive, routeTimeout, isMaintained };
    return new BackendInstaller(netlinker, options, report, warn, this.#environment, suppressed);
  }

  /** @throws LivenessError `ERR_NO_SUCH_SESSION` */
  #sessionIdsOf(peers: readonly Peer[]): number[] {
    return peers.map((peer) => {
      const session = this.#routeManager.registry.session(peer);
      if (session === undefined) throw new LivenessError('ERR_NO_SUCH_SESSION', `There is no session with ${formatPeer(peer)}`);
      return session.id;
    });
  }

  #peersOf(ids: readonly number[]): Readonly<Peer>[] {
    return ids.flatMap((id) => this.#routeManager.registry.sessionById(id)?.peer ?? []);
  }

  #reportHold(peers: readonly Readonly<Peer>[] | undefined, until: Date | undefined, what: string): void {
    this.#log.hold(peers, until, what);
    this.#publish('hold', { peers, until });
  }

  #wallTime(atMs: number | undefined): Date | undefined {
    return atMs === undefined ? undefined : new Date(atMs + this.#environment.wallOffset());
  }

  #listener(): EngineListener {
    return {
      sessions: (records) => {
        this.#sessionsChanged(records);
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

  /** Routes first, then log and listeners: a slow listener must not delay a route. */
  #sessionsChanged(records: readonly SessionRecord[]): void {
    const known = records.flatMap((record) => {
      const session = this.#routeManager.registry.sessionById(record.id);
      return session === undefined ? [] : [{ session, record }];
    });
    if (known.length > 0) this.#routeManager.registry.noteChange();
    this.#holdMassDown(known);
    for (const { session, record } of known) this.#updateRoutes(session, record);
    for (const { session, record } of known) this.#report(session, record);
  }

  /** The native engine does this for armed routes itself. */
  #holdMassDown(known: readonly { session: ManagedSession; record: SessionRecord }[]): void {
    if (this.#recentDowns === undefined || this.#config.passiveMode || this.#installer instanceof ArmedInstaller) return;
    const fallen = known
      .filter(({ session, record }) => session.up && record.count > 0 && hasFallen(record))
      .map(({ session }) => session.id);
    if (fallen.length === 0) return;
    const up = new Set([...this.#routeManager.registry.routes()].filter(({ session }) => session.up).map(({ session }) => session.id));
    for (const id of fallen) up.delete(id);
    const massDown = this.#recentDowns.fell(fallen, up.size, this.#environment.now());
    if (massDown === undefined) return;
    const { sessions, wait, report } = massDown;
    this.#maintenance.holdAtLeast(sessions, wait);
    if (report === undefined) return;
    const { fallen: count, of } = report;
    const message = `${count} of ${of} sessions fell at once, which is probably this host's fault: their routes stay for ${wait} ms`;
    this.#log.warning('ERR_MASS_DOWN', message);
  }

  /** Armed routes need nothing here: the engine has moved them on the transition itself. */
  #updateRoutes(session: ManagedSession, record: SessionRecord): void {
    if (!(this.#installer instanceof BackendInstaller)) {
      session.applyState(record);
      return;
    }
    session.apply(record);
    for (const route of session.routes) this.#installer.changed(route);
    for (const route of session.watched) this.#installer.changed(route);
  }

  #report(session: ManagedSession, record: SessionRecord): void {
    if (record.longRoundTripUs !== undefined) {
      this.#log.longRoundTrip(session.peer, record.longRoundTripUs / 1_000);
    }
    if (record.count === 0) return;
    const transition = toTransition(session.peer, record, this.#environment.wallOffset());
    this.#log.transition(transition);
    this.#streams.push(transition);
    this.#publish('transition', transition);
  }

  /** Tells the listeners, and whoever subscribes to the channel of this name. */
  #publish<K extends Exclude<keyof ManagerEvents, 'handover'>>(event: K, ...values: ManagerEvents[K]): void {
    publish(event, this, values[0]);
    this.deliver(event, ...values);
  }

  #snapshots(ids?: readonly number[]): SessionSnapshot[] {
    const status = this.#installer.status.bind(this.#installer);
    const offset = this.#environment.wallOffset();
    const snapshots: SessionSnapshot[] = [];
    for (const reading of this.#engine.snapshots(ids)) {
      const session = this.#routeManager.registry.sessionById(reading.id);
      const heldUntil = this.#maintenance.isActive ? this.#wallTime(this.#maintenance.heldUntil(reading.id)) : undefined;
      const snapshot = session && toSessionSnapshot(session, reading, status, offset, heldUntil);
      if (snapshot !== undefined) snapshots.push(snapshot);
    }
    return snapshots;
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
    this.#maintenance.close();
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
    await this.#routeManager.withdrawAll(({ id }) => this.#maintenance.heldUntil(id) === undefined);
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

/** Whether a session has left Up, other than by the word of its peer. */
function hasFallen({ to, reason }: SessionRecord): boolean {
  return to !== 'up' && reason !== 'remote_admin';
}

/** Starts an engine on this host. Where its port is taken the error says by whom. */
const startOnThisHost: EngineFactory = async (selection, options, listener) => {
  try {
    return await startEngine(selection, options, listener);
  } catch (error) {
    throw await explained(error, options.bindIPs, options.port);
  }
};

/** @internal `Manager.start` with another way to start an engine, and another clock. */
export async function startManager(
  config: ManagerConfig,
  signal: AbortSignal | undefined,
  startWith: EngineFactory,
  environment = SYSTEM,
): Promise<Manager> {
  throwIfAborted(signal);
  const resolved = validateConfig(config);
  const { netlinker, engine: choice, udp, metricsRegistry, metricsPrefix } = resolved;
  if (metricsRegistry !== undefined) checkRegistry(metricsRegistry, metricsPrefix);
  if (netlinker instanceof NetlinkRoutes) netlinker.checkAccess();
  const buffered = new BufferedListener();
  const engine = await startWith({ choice, udp, signal }, toEngineOptions(resolved), buffered);
  const manager = await createManager(resolved, engine, buffered, environment, signal);
  if (signal !== undefined) manager.closeWith(signal);
  return manager;
}

/** Makes a manager of a running engine. Closes the engine if that fails, since a logger or a registry may throw. */
async function createManager(
  config: ResolvedConfig,
  engine: Engine,
  buffered: BufferedListener,
  environment: Environment,
  signal: AbortSignal | undefined,
): Promise<Manager> {
  let manager: Manager | undefined;
  try {
    throwIfAborted(signal);
    manager = newManager(config, engine, buffered, environment);
    await manager.serveHandover();
    return manager;
  } catch (error) {
    await (manager?.close({ adminDown: false, withdrawRoutes: false }) ?? engine.close({ adminDown: false }));
    throw error;
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}
