/** The public API: lifecycle, registration, events. */
import type { AddressInfo } from 'node:net';

import { checkedArray, checkedLeft, checkedPeer, checkedRefs, checkedSweep } from './arguments.js';
import { toMicros, wallOffset } from '../base/clock.js';
import {
  closeOptions,
  type CloseOptions,
  type ManagerConfig,
  type RegisterOptions,
  type ResolvedConfig,
  validateConfig,
  validateRegisterOptions,
} from './config.js';
import type { Capabilities, Engine, EngineListener, EngineOptions, EngineStats, SessionRecord } from '../engine/engine.js';
import { Relay } from '../engine/buffered-listener.js';
import { type EngineFactory, startEngine } from '../engine/select.js';
import { closedError, ConfigError, LivenessError, messageOf, toError } from '../base/errors.js';
import { SafeEmitter } from './safe-emitter.js';
import { optionsOf, SIGNAL_SCHEMA } from '../base/fields.js';
import { warnProcess } from '../base/guard.js';
import { ArmedInstaller } from '../routes/armed-installer.js';
import { BackendInstaller } from '../routes/backend-installer.js';
import type { RouteInstaller, RouteOperation } from '../routes/installer.js';
import { componentLogger, type Logger } from '../base/logger.js';
import { LivingScopes, STRANGERS } from './shown-endpoints.js';
import { checkRegistry, type DesiredRoutes, type MetricsReading, NOTHING, type PeerReading, showMetrics } from './metrics-feed.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import { parseClientVersion } from '../protocol/client-version.js';
import { maxSessions, type Registration } from './registration-plan.js';
import { modeOf, versionOf } from '../protocol/session-status.js';
import type { Session } from './managed-session.js';
import { type LeftRoutes, Roster, type RouteRef } from './route-manager.js';
import { formatRoute, type Peer, type Route } from '../base/route.js';
import { type SessionSnapshot, toSnapshot } from './session-snapshot.js';
import { type ManagerStats, toStats } from './stats.js';
import { toTransition, type Transition, TransitionStream } from './transitions.js';

/** What a manager emits. */
export interface ManagerEvents {
  /** A session changed its state. */
  transition: [Transition];
  /** An operation on a route has ended, well or not. */
  route: [RouteOperation];
  /**
   * The engine has stopped by itself; nothing is watched any more. At most once, and only if somebody listens. Where nobody
   * does and there is no logger it is a warning of the process, `ERR_ENGINE_STOPPED`.
   */
  error: [Error];
}

/** What nobody outside of this file can do: the constructor is private. */
let assemble: (config: ResolvedConfig, engine: Engine, relay: Relay) => Manager;

/**
 * Sessions and the routes that depend on them (reference name: `Manager`).
 *
 * An open manager keeps its process alive, as a `net.Server` does. Closing leaves routes where they are, unwatched,
 * unless it is told otherwise.
 */
export class Manager extends SafeEmitter<ManagerEvents> implements AsyncDisposable {
  /**
   * Resolves when the manager is closed; rejects where the engine stopped by itself, with the error of the `error`
   * event. Never counts as unhandled.
   */
  readonly closed: Promise<void>;
  readonly #config: ResolvedConfig;
  readonly #log: Logger;
  readonly #engine: Engine;
  readonly #installer: RouteInstaller;
  readonly #roster: Roster;
  readonly #streams = new Set<TransitionStream>();
  readonly #livingScopes = new LivingScopes();
  readonly #endMetrics: (last: MetricsReading) => void;
  #lastReading: MetricsReading | undefined;
  #settleClosed!: { resolve: () => void; reject: (error: Error) => void };
  #closing: Promise<void> | undefined;
  #failed: Error | undefined;

  /**
   * Opens the socket and starts the engine (reference name: `NewManager`).
   *
   * @param options.signal aborted before this resolves: rejects with `signal.reason`; aborted later: closes the manager
   * @throws ConfigError `ERR_CONFIG`, with every issue at once
   * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`; `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES` where the address cannot be
   * bound; `EPERM` where the backend is `NetlinkRoutes` and the process lacks CAP_NET_ADMIN
   */
  static async start(config: ManagerConfig, options?: { signal?: AbortSignal | undefined }): Promise<Manager> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    return startManager(config, signal, startEngine);
  }

  static {
    assemble = (config, engine, relay) => new Manager(config, engine, relay);
  }

  private constructor(config: ResolvedConfig, engine: Engine, relay: Relay) {
    // For those who have no types to tell them.
    if (!(relay instanceof Relay))
      throw new ConfigError([{ path: '', message: 'A manager is made by `await Manager.start(config)`, not by `new`' }]);
    const log = componentLogger(config.logger, 'liveness');
    super((error, event) => {
      reportListenerFailure(log, config.logger !== undefined, error, event);
    });
    this.#config = config;
    this.#log = log;
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = { resolve, reject };
    });
    this.closed.catch(() => {
      // The failure is logged and emitted; this promise is for those who ask.
    });
    this.#engine = engine;
    this.#installer = this.#newInstaller();
    this.#roster = new Roster({ engine, installer: this.#installer, config, log, assertOpen: () => this.#assertOpen() });
    const { metricsRegistry, metricsPrefix } = config;
    this.#endMetrics =
      metricsRegistry === undefined ? () => undefined : showMetrics(metricsRegistry, metricsPrefix, () => this.#metricsReading());
    relay.attach(this.#listener());
    if (config.detectMult === 1) log.warn({ detectMult: 1 }, 'detectMult 1: a single lost packet takes a session down');
  }

  /** Which engine runs: `native`, or `js`. */
  get engine(): 'native' | 'js' {
    return this.#engine.kind;
  }

  /** What the engine can do on this host. */
  get capabilities(): Capabilities {
    return this.#engine.capabilities;
  }

  /** The bound address (reference name: `LocalAddr`); `undefined` once closed. */
  localAddr(): AddressInfo | undefined {
    return this.#engine.localAddr();
  }

  /**
   * Registers a route and starts its session, or joins the one that it shares (reference name: `RegisterRoute`). The
   * same route again is updated in place.
   *
   * Resolves once accepted; in passive mode once the backend has added the route.
   *
   * @param iface the interface that the peer is reached by
   * @throws LivenessError `ERR_INVALID_ROUTE`, `ERR_ROUTE_CONFLICT` (slot or protocol), `ERR_CONFIG` (options),
   * `ERR_NO_SUCH_INTERFACE`, `EADDRNOTAVAIL` (`src` is not ours, or not what `bindIP` names), `ERR_TOO_MANY_SESSIONS`, `ERR_ROUTE_BACKEND` (passive
   * mode), `ERR_CLOSED`. Nothing is registered then.
   */
  async registerRoute(route: Route, iface: string, options?: RegisterOptions): Promise<void> {
    this.#assertOpen();
    const own = validateRegisterOptions(options, this.#config);
    await this.#roster.register([{ ...own, route, iface }], (errors) => errors.get(0));
  }

  /**
   * Registers many routes in one crossing, all or none.
   *
   * @throws RoutesError with `{ index, code, message }` of each route that cannot be registered
   */
  async registerRoutes(registrations: readonly Registration[]): Promise<void> {
    this.#assertOpen();
    await this.#roster.register(checkedArray(registrations, 'registrations') as Registration[], () => undefined);
  }

  /**
   * Withdraws a route; its session ends with its last route, without a farewell (reference name: `WithdrawRoute`). A
   * route that is not registered is withdrawn already.
   *
   * Resolves when the backend has confirmed.
   *
   * @throws LivenessError `ERR_ROUTE_BACKEND` after `routeTimeout`, while retries go on; `ERR_CLOSED`
   */
  async withdrawRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#roster.withdraw([{ route, iface }]);
  }

  /**
   * Withdraws many routes at once. Rejects with the first failure, when all have ended.
   *
   * @throws RoutesError with `{ index, code, message }` of each that is no route: then nothing was withdrawn
   */
  async withdrawRoutes(routes: readonly RouteRef[]): Promise<void> {
    this.#assertOpen();
    await this.#roster.withdraw(checkedRefs(routes));
  }

  /**
   * Takes a route out of service: it is withdrawn and stays registered. Its session goes AdminDown when all of its routes
   * are.
   *
   * @throws LivenessError `ERR_INVALID_ROUTE` where it is not registered, `ERR_CLOSED`
   */
  async adminDownRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#roster.setAdminDown(route, iface, true);
  }

  /** Puts a route back in service. @throws as `adminDownRoute` */
  async adminUpRoute(route: Route, iface: string): Promise<void> {
    this.#assertOpen();
    await this.#roster.setAdminDown(route, iface, false);
  }

  /**
   * Takes over the registered routes that a predecessor has left in the backend: each counts as installed, and stays for
   * 3.3 s at most while its session comes Up again. To be called once after the routes were registered; never implicit.
   *
   * @returns the routes that were adopted
   * @throws LivenessError `ERR_CONFIG`, `ERR_ROUTE_BACKEND`, `ERR_CLOSED`
   */
  async adoptRoutes(left: LeftRoutes): Promise<Route[]> {
    this.#assertOpen();
    return this.#roster.adopt(checkedLeft(left));
  }

  /**
   * Deletes the routes of a protocol and a table that are not registered here: what a predecessor has left and nobody wants
   * any more. Routes of others that carry the same protocol number look the same: try it with `dryRun` first. Never implicit.
   *
   * @returns the routes that were deleted, with `dryRun` those that would be
   * @throws RoutesError of the routes that could not be deleted, when all were tried; LivenessError `ERR_CONFIG`,
   * `ERR_ROUTE_BACKEND`, `ERR_CLOSED`
   */
  async sweepRoutes(which: LeftRoutes & { dryRun?: boolean | undefined }): Promise<Route[]> {
    this.#assertOpen();
    const { left, dryRun } = checkedSweep(which);
    return this.#roster.sweep(left, dryRun);
  }

  /** All sessions as they are now (reference name: `GetSessions`). @throws LivenessError `ERR_CLOSED` */
  getSessions(): SessionSnapshot[] {
    this.#assertOpen();
    return this.#snapshots();
  }

  /**
   * One session, if there is one (reference name: `GetSession`).
   *
   * @throws ConfigError `ERR_CONFIG` where it is no interface and no two IPv4 addresses; LivenessError `ERR_CLOSED`
   */
  getSession(peer: Peer): SessionSnapshot | undefined {
    this.#assertOpen();
    const session = this.#roster.registry.session(checkedPeer(peer));
    return session === undefined ? undefined : this.#snapshots([session.id])[0];
  }

  /** Counters of engine and routes. @throws LivenessError `ERR_CLOSED` */
  stats(): ManagerStats {
    this.#assertOpen();
    let registered = 0;
    for (const entry of this.#roster.registry.routes()) registered += entry.leaving ? 0 : 1;
    const stats = this.#engine.stats();
    return toStats(stats, registered, [...stats.routes, ...this.#installer.stats()]);
  }

  /**
   * Every transition from now on. A consumer that is slow gets one record per session, with the newest state and the
   * count; beyond `maxEvents` records those of sessions that have ended are dropped, which is logged. Ends when the manager
   * closes or the signal aborts; throws where the engine has stopped by itself.
   *
   * @throws ConfigError `ERR_CONFIG`
   */
  transitions(options?: { signal?: AbortSignal | undefined }): AsyncIterableIterator<Transition> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    const stop = (): void => stream.end();
    const stream = new TransitionStream({
      most: this.#config.maxEvents,
      exists: (peer) => this.#roster.registry.session(peer) !== undefined,
      onDropped: (count) => {
        const message = `nobody reads a stream of transitions: ${count} records of sessions that have ended were dropped`;
        this.#log.warn({ code: 'ERR_TRANSITIONS_DROPPED', count }, message);
      },
      onEnd: () => {
        this.#streams.delete(stream);
        signal?.removeEventListener('abort', stop);
      },
    });
    if (this.#failed !== undefined) {
      stream.fail(this.#failed);
    } else if (this.#closing !== undefined || signal?.aborted === true) {
      stream.end();
    } else {
      this.#streams.add(stream);
      signal?.addEventListener('abort', stop, { once: true });
    }
    return stream;
  }

  /** Lets the process live as long as the manager is open: how it begins. */
  ref(): this {
    this.#engine.ref();
    return this;
  }

  /** Lets the process end although the manager is open. */
  unref(): this {
    this.#engine.unref();
    return this;
  }

  /**
   * Ends threads, socket and timers (reference name: `Close`). What is not given comes from `config.onClose`. Routes stay
   * in the kernel, unwatched, unless `withdrawRoutes` is set. Idempotent; every call waits for the one closing.
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
    const abort = (): void => this.#closeUnasked({});
    signal.addEventListener('abort', abort, { once: true });
    const forget = (): void => signal.removeEventListener('abort', abort);
    this.closed.then(forget, forget);
  }

  #newInstaller(): RouteInstaller {
    const report = (operation: RouteOperation): void => {
      this.#reportOperation(operation);
    };
    const warn = (fields: object, message: string): void => {
      this.#log.warn(fields, message);
    };
    const { netlinker, passiveMode } = this.#config;
    if (!passiveMode && netlinker instanceof NetlinkRoutes && this.#engine.arming !== undefined) {
      return new ArmedInstaller(this.#engine.arming, report, warn);
    }
    return new BackendInstaller(netlinker, this.#config, report, warn);
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
        this.#log.warn({ code }, message);
      },
      fatal: (error) => {
        this.#fail(error);
      },
    };
  }

  /** All routes move before anybody is told: a logger or a listener that takes its time delays none. */
  #sessionsChanged(records: readonly SessionRecord[]): void {
    const known = records.flatMap((record) => {
      const session = this.#roster.registry.sessionById(record.id);
      return session === undefined ? [] : [{ session, record }];
    });
    for (const { session, record } of known) this.#moveRoutes(session, record);
    for (const { session, record } of known) this.#tell(session, record);
  }

  /** Armed routes hear of their sessions from the engine itself, and sooner. */
  #moveRoutes(session: Session, record: SessionRecord): void {
    if (!(this.#installer instanceof BackendInstaller)) {
      session.follow(record);
      return;
    }
    session.heard(record);
    for (const entry of session.routes) this.#installer.changed(entry);
  }

  #tell(session: Session, record: SessionRecord): void {
    if (record.longRoundTripUs !== undefined) {
      const roundTrip = record.longRoundTripUs / 1_000;
      this.#log.warn({ ...session.peer, roundTrip }, `the round trip, ${roundTrip} ms at least, is longer than the detection time`);
    }
    if (record.count === 0) return;
    const transition = toTransition(session.peer, record);
    this.#logTransition(transition);
    for (const stream of this.#streams) stream.push(transition);
    this.deliver('transition', transition);
  }

  #logTransition(transition: Transition): void {
    const { peer, from, to, reason, cause, count, localStall, silence } = transition;
    const fields = { ...peer, from, to, reason, cause, count, localStall, silence };
    if (to === 'down' && from !== 'admin_down') this.#log.warn(fields, `session went from ${from} to ${to} (${reason})`);
    else this.#log.info(fields, `session went from ${from} to ${to}`);
  }

  #reportOperation(operation: RouteOperation): void {
    const { route, iface, op, ok, error, duration } = operation;
    const fields = { ...route, iface, op, duration, ...(error === undefined ? {} : { err: error }) };
    if (ok) this.#log.info(fields, `route ${op === 'add' ? 'installed' : 'withdrawn'}: ${formatRoute(route)}`);
    else this.#log.error(fields, `route could not be ${op === 'add' ? 'installed' : 'withdrawn'}: ${messageOf(error)}`);
    this.deliver('route', operation);
  }

  #snapshots(ids?: readonly number[]): SessionSnapshot[] {
    const status = this.#installer.status.bind(this.#installer);
    const offset = wallOffset();
    const snapshots: SessionSnapshot[] = [];
    for (const seen of this.#engine.snapshots(ids)) {
      const session = this.#roster.registry.sessionById(seen.id);
      const snapshot = session && toSnapshot(session, seen, status, offset);
      if (snapshot !== undefined) snapshots.push(snapshot);
    }
    return snapshots;
  }

  async #close(options: CloseOptions): Promise<void> {
    try {
      if (options.withdrawRoutes === true && this.#failed === undefined) await this.#roster.withdrawAll();
    } catch (error) {
      this.#log.error({ err: toError(error) }, `not all routes were withdrawn: ${messageOf(error)}`);
    }
    // From here on nothing that becomes of sessions moves a route.
    this.#roster.close();
    for (const stream of this.#streams) stream.end();
    this.#lastReading = this.#metricsReading();
    try {
      const last = await this.#engine.close({ adminDown: options.adminDown ?? false });
      this.#endMetrics(last === undefined ? this.#lastReading : this.#readingOf(last));
    } finally {
      this.#log.info({}, 'closed');
      this.#settleClosed.resolve();
    }
  }

  /** Where the engine can no longer be asked, what it said last. */
  #metricsReading(): MetricsReading {
    try {
      this.#lastReading = this.#readingOf(this.#engine.stats());
    } catch {
      this.#lastReading ??= NOTHING;
    }
    return this.#lastReading;
  }

  #readingOf({ scopes, routes, queueLength, sendBufferBytes, sendBufferFull, readErrors }: EngineStats): MetricsReading {
    const allRoutes = [...routes, ...this.#installer.stats()];
    const desired = this.#desiredRoutes(scopes);
    const inUse = scopes.filter(({ sessions }) => sessions.admin_down + sessions.down + sessions.init + sessions.up > 0);
    const installed = allRoutes.filter((scope) => scope.installed > 0);
    const wanted = desired.filter(({ count }) => count > 0);
    const isShown = this.#livingScopes.look([...inUse, ...installed, ...wanted], [...scopes, ...allRoutes]);
    return {
      scopes: scopes.filter(isShown),
      routes: allRoutes.filter(isShown),
      desired: desired.filter(isShown),
      queueLength,
      sendBufferBytes,
      sendBufferFull,
      readErrors: { [this.#config.bindIP]: readErrors },
      peers: this.#config.enablePeerMetrics && this.#closing === undefined ? this.#peerReadings() : [],
    };
  }

  #peerReadings(): PeerReading[] {
    return this.#engine.snapshots().flatMap((seen) => {
      const session = this.#roster.registry.sessionById(seen.id);
      if (session === undefined) return [];
      const { state, detectTimeUs, peerPassive } = seen;
      return { peer: session.peer, state, detectTime: detectTimeUs / 1_000_000, mode: modeOf(peerPassive), version: versionOf(seen) };
    });
  }

  /** By interface and local address: 0 where there was a session and is no route. */
  #desiredRoutes(scopes: EngineStats['scopes']): DesiredRoutes[] {
    const counts = new Map<string, { iface: string; localIP: string; count: number }>();
    const at = ({ iface, localIP }: { iface: string; localIP: string }): { count: number } => {
      const key = `${iface} ${localIP}`;
      const counted = counts.get(key) ?? { iface, localIP, count: 0 };
      counts.set(key, counted);
      return counted;
    };
    for (const scope of scopes) if (scope.localIP !== STRANGERS) at(scope);
    for (const { session, adminDown, leaving } of this.#roster.registry.routes()) {
      const isDesired = !leaving && (this.#config.passiveMode || (session.up && !adminDown));
      at(session).count += Number(isDesired);
    }
    return [...counts.values()];
  }

  #fail(error: Error): void {
    if (this.#failed !== undefined || this.#closing !== undefined) return;
    this.#failed = error;
    const message = `the engine has stopped: ${messageOf(error)}`;
    this.#log.error({ err: error }, message);
    if (this.#config.logger === undefined && this.listenerCount('error') === 0) warnProcess('ERR_ENGINE_STOPPED', message);
    this.#settleClosed.reject(error);
    for (const stream of this.#streams) stream.fail(error);
    this.deliver('error', error);
    this.#closeUnasked({ adminDown: false, withdrawRoutes: false });
  }

  /** Nobody waits for this: what fails is logged, and rejects for those who call `close` themselves. */
  #closeUnasked(options: CloseOptions): void {
    this.close(options).catch((error: unknown) => {
      this.#log.error({ err: error }, `closing failed: ${messageOf(error)}`);
    });
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#failed !== undefined) throw new LivenessError('ERR_CLOSED', 'The engine has stopped', { cause: this.#failed });
  }
}

/** @internal `Manager.start` with an engine of the caller's choice. */
export async function startManager(config: ManagerConfig, signal: AbortSignal | undefined, startWith: EngineFactory): Promise<Manager> {
  throwIfAborted(signal);
  const resolved = validateConfig(config);
  const { netlinker, engine: choice, udp, metricsRegistry, metricsPrefix } = resolved;
  if (metricsRegistry !== undefined) checkRegistry(metricsRegistry, metricsPrefix);
  if (netlinker instanceof NetlinkRoutes) netlinker.checkAccess();
  const relay = new Relay();
  const engine = await startWith({ choice, udp }, engineOptions(resolved), relay);
  const manager = await assembled(resolved, engine, relay, signal);
  if (signal !== undefined) manager.closeWith(signal);
  return manager;
}

/** A manager over an engine that runs; where there can be none, because a logger or a registry throws, the engine ends. */
async function assembled(config: ResolvedConfig, engine: Engine, relay: Relay, signal: AbortSignal | undefined): Promise<Manager> {
  try {
    throwIfAborted(signal);
    return assemble(config, engine, relay);
  } catch (error) {
    await engine.close({ adminDown: false });
    throw error;
  }
}

function engineOptions(config: ResolvedConfig): EngineOptions {
  const { bindIP, port, minTxFloor, maxTxCeil, backoffMax, clientVersion, realtime, netlinker } = config;
  return {
    bindIP,
    port,
    minTxFloorUs: toMicros(minTxFloor),
    maxTxCeilUs: toMicros(maxTxCeil),
    backoffMaxUs: toMicros(backoffMax),
    maxSessions: maxSessions(config),
    passive: config.passiveMode,
    clientVersion: clientVersion === undefined ? undefined : parseClientVersion(clientVersion),
    honorPeerAdvertisedPassive: config.honorPeerAdvertisedPassive,
    requireDiscriminator: config.requireDiscriminator,
    minTtl: config.minTtl,
    takeOver: netlinker instanceof NetlinkRoutes && netlinker.takeOver,
    realtime,
  };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

/** A listener's failure is never lost: it is logged, or, without a logger, a warning of the process. */
function reportListenerFailure(log: Logger, logs: boolean, error: Error, event: string): void {
  const message = `a listener of '${event}' failed: ${messageOf(error)}`;
  if (logs) log.error({ err: error, event }, message);
  else warnProcess('ERR_LISTENER', message);
}
