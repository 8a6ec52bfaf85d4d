/** A manager of the agent: its routes, of which some are the file's and some the API's, and its events. */
import type { Registry } from 'prom-client';

import { LivenessError, messageOf, RoutesError, toError } from '../base/errors.js';
import { definedOf } from '../base/fields.js';
import { readGuarded } from '../base/guard.js';
import { formatPeer, formatRouteKey, formatSlot, routeKey } from '../base/route.js';
import { TIMED_OUT, within } from '../base/timeout.js';
import {
  type Logger,
  Manager,
  MemoryRoutes,
  NetlinkRoutes,
  type Peer,
  type RegisterSessionOptions,
  type Registration,
  type RouteRef,
  type State,
} from '../index.js';
import { ApiRoutes, checkOptions, peerOfRegistration, type ReloadedApiRoutes, requestedKeys, sessionOptionsOf } from './api-routes.js';
import type { ManagerSettings } from './config/manager-section.js';
import { sessionKey } from './config/registrations.js';
import { formatPath } from './config/source-file.js';
import type { MetricsSettings } from './config/metrics-section.js';
import type { ManagerHealth, RouteJson, SessionJson } from './control-api.js';
import type { EventLog } from './event-log.js';
import { optionsBySession, planReload, type ReloadPlan, slotOf, type Wanted, type WantedRoute, type Withdrawals } from './reload-plan.js';
import { RequestError } from './request-error.js';
import type { RequestedRoute } from './route-request.js';
import { routeEvent, routeView, sessionView, timeOf, transitionEvent, type ViewContext } from './views.js';

/** What a manager is started with, beside its section of the file. */
export interface ManagerContext {
  readonly logger: Logger;
  readonly registry: Registry;
  readonly metrics: MetricsSettings;
  readonly events: EventLog;
  /** The engine has stopped by itself. */
  readonly onFailed: (name: string, error: Error) => void;
  /** A successor has taken over the sessions, and the manager is closing. */
  readonly onHandover: (name: string) => void;
}

/** What a file makes of a manager, and the way back. */
export interface Reload {
  readonly settings: ManagerSettings;
  readonly apiRoutes: ReloadedApiRoutes;
  readonly plan: ReloadPlan;
  readonly back: ReloadPlan;
}

/** How long the thread of an engine may take for a turn before the manager counts as stuck, in milliseconds. */
const PING_PATIENCE_MS = 2_000;

export class RunningManager {
  readonly name: string;
  readonly #manager: Manager;
  readonly #context: ManagerContext;
  readonly #view: ViewContext;
  #settings: ManagerSettings;
  /** The slots of the file's routes. */
  #fileSlots: ReadonlySet<string> = new Set();
  /** The options of the file's sessions, with and without routes. */
  #fileOptions: ReadonlyMap<string, RegisterSessionOptions> = new Map();
  readonly #apiRoutes = new ApiRoutes();
  /** The worst delay of our thread in the last silence of each session, in milliseconds. */
  readonly #localStalls = new Map<string, number>();
  /** What callers said of their holds, by the peer's address; of the whole manager by `''`. */
  readonly #notes = new Map<string, string>();
  #fault: string | undefined;

  static async start(settings: ManagerSettings, context: ManagerContext): Promise<RunningManager> {
    const { logger, registry, metrics } = context;
    const { backend, takeOver, config, name } = settings;
    const netlinker = backend === 'netlink' ? new NetlinkRoutes({ takeOver }) : new MemoryRoutes({ takeOver });
    const manager = await Manager.start({
      ...config,
      netlinker,
      logger: logger.child?.({ manager: name }) ?? logger,
      metricsRegistry: registry,
      metricsPrefix: metrics.prefix,
      enablePeerMetrics: metrics.peers,
    });
    return new RunningManager(settings, context, manager);
  }

  private constructor(settings: ManagerSettings, context: ManagerContext, manager: Manager) {
    const { name, resolved } = settings;
    this.name = name;
    this.#settings = settings;
    this.#context = context;
    this.#manager = manager;
    this.#view = {
      manager: name,
      protocol: resolved.protocol,
      localStall: (peer) => this.#localStalls.get(sessionKey(peer)),
      origin: ({ route }) => (this.#apiRoutes.size > 0 && this.#apiRoutes.has(formatSlot(route)) ? 'api' : 'config'),
    };
    this.#listen();
  }

  get settings(): ManagerSettings {
    return this.#settings;
  }

  /** Registers what the file says, at the start. */
  async registerAll(): Promise<void> {
    await this.#advance(planReload({ routes: [], sessions: [] }, this.#settings), new Set());
    this.#remember(this.#settings);
  }

  /** Takes over what a predecessor has left, as the file says. */
  async adopt(): Promise<void> {
    const { adopt } = this.#settings;
    for (const filter of adopt) {
      const { length: count } = await this.#manager.adoptRoutes(filter);
      this.#context.logger.info({ manager: this.name, ...filter, count }, `adopted ${count} ${count === 1 ? 'route' : 'routes'}`);
    }
  }

  /** What other settings change. Until they are applied, the routes of the API must stay as they are. */
  planReload(settings: ManagerSettings): Reload {
    const apiRoutes = this.#apiRoutes.reloaded(settings);
    const before: Wanted = { sessions: this.#settings.sessions, routes: [...this.#settings.routes, ...this.#apiRoutes.all] };
    const after: Wanted = { sessions: settings.sessions, routes: [...settings.routes, ...apiRoutes.routes] };
    return { settings, apiRoutes, plan: planReload(before, after), back: planReload(after, before) };
  }

  /** The part of a reload that may fail; then everything is registered as before. */
  async register({ plan, back }: Reload): Promise<void> {
    const outOfService = this.#outOfService(plan.first);
    try {
      await this.#advance(plan, outOfService);
    } catch (error) {
      await this.restore(back, outOfService);
      throw error;
    }
  }

  /** Goes back to what was registered before a reload, which may have come only part of its way. */
  async restore(back: ReloadPlan, outOfService = this.#outOfService(back.first)): Promise<void> {
    try {
      await this.#advance(back, outOfService);
      await this.#withdraw(back.last);
    } catch (error) {
      const message = `what was registered before the reload could not all be restored: ${messageOf(error)}`;
      this.#context.logger.error({ manager: this.name, err: toError(error) }, message);
    }
  }

  /** The rest of a reload, once all managers have registered. */
  async finish({ settings, apiRoutes, plan }: Reload): Promise<void> {
    this.#apiRoutes.replace(apiRoutes);
    this.#remember(settings);
    for (const peer of apiRoutes.disputed) {
      const message = `routes of the API keep the keys that they had: the groups that they name for one session (${formatPeer(peer)}) no longer agree`;
      this.#context.logger.error({ manager: this.name }, message);
    }
    await this.#withdraw(plan.last);
  }

  /** Withdraws. What the backend does not confirm in time is logged, while the manager goes on trying. */
  async #withdraw({ routes, sessions }: Withdrawals): Promise<void> {
    for (const peer of sessions) await this.#manager.withdrawSession(peer);
    if (routes.length === 0) return;
    try {
      await this.#manager.withdrawRoutes(routes);
    } catch (error) {
      this.#context.logger.error({ manager: this.name, err: toError(error) }, `not all routes are withdrawn yet: ${messageOf(error)}`);
    }
  }

  #remember(settings: ManagerSettings): void {
    this.#settings = settings;
    this.#fileSlots = new Set(settings.routes.map(slotOf));
    this.#fileOptions = optionsBySession(settings);
  }

  /** @throws RequestError 409 for a slot of the file; what `registerRoutes` throws */
  async addApiRoutes(requested: readonly RequestedRoute[]): Promise<void> {
    this.#refuseFileRoutes(
      requested.map(({ registration }) => registration),
      'is set by the configuration file',
    );
    const keys = requestedKeys(requested, this.#settings.auth);
    const registrations = requested.map(({ registration }, index) => {
      return { ...this.#defaultsOf(registration), ...registration, ...definedOf({ auth: keys[index] }) };
    });
    checkOptions(registrations, this.#settings.resolved);
    await this.#manager.registerRoutes(registrations);
    registrations.forEach((registration, index) => this.#apiRoutes.set(registration, requested[index]?.authGroup));
  }

  /** @throws RequestError 409 for a route of the file; what `withdrawRoutes` throws */
  async removeApiRoutes(refs: readonly RouteRef[]): Promise<void> {
    this.#refuseFileRoutes(
      refs,
      'is set by the configuration file: remove it there and reload, or take it out of service with /admin-down',
    );
    const withdrawn = this.#manager.withdrawRoutes(refs);
    try {
      // At once, whatever the backend does: a reload must not register them again.
      this.#forgetWithdrawn();
    } finally {
      await withdrawn;
    }
  }

  /** @throws RequestError 404 for a route that is not registered; nothing is changed then */
  async setAdminDown(refs: readonly RouteRef[], down: boolean): Promise<void> {
    const known = new Set(this.#manager.getSessions().flatMap(({ peer, routes }) => routes.map(({ route }) => refKey(route, peer.iface))));
    const issues = refs.flatMap(({ route, iface }, index) => {
      return known.has(refKey(route, iface)) ? [] : [{ path: String(index), message: `${route.dst} is not registered on ${iface}` }];
    });
    if (issues.length > 0) throw new RequestError(404, 'ERR_INVALID_ROUTE', issues[0]?.message ?? '', { issues });
    for (const { route, iface } of refs) {
      await (down ? this.#manager.adminDownRoute(route, iface) : this.#manager.adminUpRoute(route, iface));
    }
  }

  /**
   * Keeps the routes of a peer, or of all, for some time.
   *
   * @param seconds 1 to 86 400
   * @throws RequestError 404 if there is no session with the peer
   */
  async hold(peerIP: string | undefined, seconds: number, note: string | undefined): Promise<void> {
    const peers = this.#peersAt(peerIP);
    if (note === undefined) this.#notes.delete(peerIP ?? '');
    else this.#notes.set(peerIP ?? '', note);
    // The manager logs the hold itself.
    if (note !== undefined) this.#context.logger.info({ manager: this.name, peerIP, seconds, note }, `a hold was asked for: ${note}`);
    await this.#manager.hold({ duration: seconds * 1_000, ...(peers === undefined ? {} : { peers }) });
  }

  /** @throws RequestError 404 if there is no session with the peer */
  async release(peerIP: string | undefined): Promise<void> {
    const peers = this.#peersAt(peerIP);
    await this.#manager.release(peers === undefined ? {} : { peers });
  }

  hasPeer(peerIP: string): boolean {
    return this.#manager.getSessions().some(({ peer }) => peer.peerIP === peerIP);
  }

  sessions(): SessionJson[] {
    const snapshots = this.#manager.getSessions();
    if (this.#localStalls.size > 2 * snapshots.length + 100) this.#forgetStalls(new Set(snapshots.map(({ peer }) => sessionKey(peer))));
    return snapshots.map((session) => sessionView(session, this.#view));
  }

  routes(): RouteJson[] {
    return this.#manager.getSessions().flatMap((session) => session.routes.map((route) => routeView(session, route, this.#view)));
  }

  /** Asks the engine's thread for a turn, and notes whether it took one in time. */
  async checkHealth(): Promise<boolean> {
    try {
      const answer = await within(this.#manager.ping(), PING_PATIENCE_MS, { ref: false });
      this.#fault = answer === TIMED_OUT ? `the engine's thread has not taken a turn for ${PING_PATIENCE_MS} ms` : undefined;
    } catch (error) {
      this.#fault = messageOf(error);
    }
    return this.#fault === undefined;
  }

  /** As far as the last check saw it. */
  health(): ManagerHealth {
    const { name, resolved } = this.#settings;
    const numbers = this.#numbers();
    const { engine } = this.#manager;
    const error = this.#fault ?? null;
    return {
      name,
      ok: error === null,
      error,
      engine,
      protocol: resolved.protocol,
      resumed: this.#manager.resumed,
      held_until: timeOf(this.#manager.heldUntil),
      ...numbers,
    };
  }

  /** Closes as the file says. */
  async close(how = this.#settings.resolved.onClose): Promise<void> {
    await this.#manager.close(how);
  }

  #numbers(): Pick<ManagerHealth, 'sessions' | 'routes' | 'worst_turn_delay_ms'> {
    const sessions: Record<State, number> = { admin_down: 0, down: 0, init: 0, up: 0 };
    try {
      const { endpoints, routes, worstTurnDelay } = this.#manager.stats();
      for (const endpoint of endpoints) for (const [state, count] of Object.entries(endpoint.sessions)) sessions[state as State] += count;
      return { sessions, routes: { registered: routes.registered, installed: routes.installed }, worst_turn_delay_ms: worstTurnDelay };
    } catch {
      // A manager that is closed, or whose engine has stopped, has no sessions any more.
      return { sessions, routes: { registered: 0, installed: 0 }, worst_turn_delay_ms: 0 };
    }
  }

  #listen(): void {
    const { events, onFailed, onHandover } = this.#context;
    this.#manager.on('transition', (transition) => {
      const { to, peer, lastDown, localStall } = transition;
      if (lastDown !== undefined || to === 'down') this.#localStalls.set(sessionKey(peer), lastDown?.localStall ?? localStall);
      events.push(transitionEvent(this.name, transition));
    });
    this.#manager.on('route', (operation) => {
      events.push(routeEvent(this.name, operation));
    });
    this.#manager.on('hold', ({ peers, until }) => {
      const addresses = peers === undefined ? [null] : [...new Set(peers.map(({ peerIP }) => peerIP))];
      for (const address of addresses) this.#held(address, until);
    });
    this.#manager.on('handover', () => {
      onHandover(this.name);
    });
    this.#manager.on('error', (error) => {
      this.#fault = messageOf(error);
      onFailed(this.name, error);
    });
  }

  #held(peerIP: string | null, until: Date | undefined): void {
    const note = this.#notes.get(peerIP ?? '') ?? null;
    const type = until === undefined ? 'release' : 'hold';
    if (until === undefined) this.#notes.delete(peerIP ?? '');
    const at = new Date().toISOString();
    this.#context.events.push({ type, at, manager: this.name, peer_ip: peerIP, held_until: timeOf(until), note });
  }

  /** The sessions with an address, `undefined` for all of the manager. @throws RequestError 404 */
  #peersAt(peerIP: string | undefined): Peer[] | undefined {
    if (peerIP === undefined) return undefined;
    const peers = this.#manager.getSessions().flatMap(({ peer }) => (peer.peerIP === peerIP ? [{ ...peer }] : []));
    if (peers.length > 0) return peers;
    throw new RequestError(404, 'ERR_NO_SUCH_SESSION', `The manager \`${this.name}\` has no session with ${peerIP}`);
  }

  /** All of a plan but its last withdrawals. Routes in the slots `outOfService` are registered so. */
  async #advance(plan: ReloadPlan, outOfService: ReadonlySet<string>): Promise<void> {
    await this.#withdraw(plan.first);
    await this.#registerTogether(plan, outOfService);
  }

  /** The slots of these routes that are out of service: an operator has said so, and the file does not know. */
  #outOfService({ routes }: Withdrawals): ReadonlySet<string> {
    const slots = new Set(routes.map(({ route }) => formatSlot(route)));
    if (slots.size === 0) return slots;
    const registered = this.#manager.getSessions().flatMap((session) => session.routes);
    const outOfService = registered.filter(({ adminDown }) => adminDown).map(({ route }) => formatSlot(route));
    return new Set(outOfService.filter((slot) => slots.has(slot)));
  }

  /** Registers in one call. @throws Error that names the places in the file */
  async #registerTogether({ routes, sessions }: Wanted, slotsOutOfService: ReadonlySet<string>): Promise<void> {
    if (routes.length + sessions.length === 0) return;
    const registrations = routes.map(({ registration }) => registration);
    const outOfService = routes.flatMap((route, index) => (slotsOutOfService.has(slotOf(route)) ? [index] : []));
    try {
      await this.#manager.registerTogether(registrations, sessions, outOfService);
    } catch (error) {
      if (!(error instanceof RoutesError)) throw error;
      const entries: readonly Pick<WantedRoute, 'path' | 'place'>[] = [...routes, ...sessions];
      const lines = error.issues.map(({ index, message }) => {
        const { path, place } = entries[index] ?? {};
        const where = path === undefined ? 'a route of the API' : formatPath(path);
        return `${where}${place === undefined ? '' : ` (line ${place.line})`}: ${message}`;
      });
      throw new LivenessError(error.code, lines.join('\n'), { cause: error });
    }
  }

  /** The options that a route of the API has where it names none: those of its session in the file, or the manager's timers. */
  #defaultsOf(registration: Registration): RegisterSessionOptions {
    // The manager refuses a wrong route, and says why.
    const peer = readGuarded<Peer | undefined>(() => peerOfRegistration(registration), undefined);
    const known = peer && this.#fileOptions.get(sessionKey(peer));
    return sessionOptionsOf(known ?? this.#settings.timers);
  }

  #refuseFileRoutes(refs: readonly RouteRef[], why: string): void {
    const issues = refs.flatMap(({ route }, index) => {
      return this.#fileSlots.has(formatSlot(route)) ? [{ path: String(index), message: `${route.dst} ${why}` }] : [];
    });
    if (issues.length > 0) throw new RequestError(409, 'ERR_ROUTE_CONFLICT', issues[0]?.message ?? '', { issues });
  }

  /** A request that names a route by other fields than its own withdraws nothing. */
  #forgetWithdrawn(): void {
    this.#apiRoutes.retain(new Set(this.#manager.getSessions().flatMap(({ routes }) => routes.map(({ route }) => formatSlot(route)))));
  }

  #forgetStalls(present: ReadonlySet<string>): void {
    for (const key of this.#localStalls.keys()) if (!present.has(key)) this.#localStalls.delete(key);
  }
}

/** What a manager finds a registered route by. */
function refKey(route: Registration['route'], iface: string): string {
  return formatRouteKey(routeKey(iface, route));
}
