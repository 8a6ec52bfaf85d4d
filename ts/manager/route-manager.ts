/** The routes that are registered, and what their sessions and the backend are made to do for them. */
import type { ResolvedConfig } from './config.js';
import type { Engine } from '../engine/engine.js';
import { closedError, codeOf, ConfigError, expected, LivenessError, messageOf, RoutesError, toError } from '../base/errors.js';
import type { RouteInstaller } from '../routes/installer.js';
import { listRoutes } from '../routes/listings.js';
import type { Logger } from '../base/logger.js';
import type { PlacedRoute } from '../routes/reader-writer.js';
import { enrol, type Enrolment, type Registration, type SessionParameters } from './registration-plan.js';
import { Registry } from './route-registry.js';
import type { RouteEntry } from './managed-route.js';
import type { Session } from './managed-session.js';
import { formatRoute, isIntegerIn, parseInterface, parseRoute, type Route } from '../base/route.js';

/** A route by the names that it was registered under. */
export interface RouteRef {
  route: Route;
  iface: string;
}

/** Which routes of the backend are meant: those of a protocol number in a table. */
export interface LeftRoutes {
  /** 1 to 255. */
  protocol: number;
  /** 1 to 4 294 967 295; 254 is `main`. */
  table: number;
}

/** What a roster works with. */
export interface RosterParts {
  readonly engine: Engine;
  readonly installer: RouteInstaller;
  readonly config: ResolvedConfig;
  readonly log: Logger;
  /** @throws LivenessError `ERR_CLOSED` */
  readonly assertOpen: () => void;
}

export class Roster {
  readonly registry = new Registry();
  readonly #parts: RosterParts;
  readonly #pending = new Pending();

  constructor(parts: RosterParts) {
    this.#parts = parts;
  }

  /** Takes over the registered routes that the backend holds; gives those. */
  async adopt(left: LeftRoutes): Promise<Route[]> {
    const listed = await this.#leftRoutes(left);
    const found = await this.#pending.wait(
      Promise.all(
        listed.map(async ({ route, iface }) => {
          const entry = this.#registered(route, iface);
          return entry !== undefined && (await this.#parts.installer.adopt(entry)) ? [route] : [];
        }),
      ),
    );
    return found.flat();
  }

  /** Deletes the routes that the backend holds and nobody has registered; gives those that are gone. */
  async sweep(left: LeftRoutes, dryRun: boolean): Promise<Route[]> {
    const listed = await this.#leftRoutes(left);
    const unwanted = listed.filter(({ route, iface }) => !this.#isOwned(route, iface));
    const routes = unwanted.map(({ route }) => route);
    if (dryRun || unwanted.length === 0) return routes;
    const deletions = unwanted.map((placed) => this.#call(() => this.#delete(placed)));
    const outcomes = await this.#pending.wait(Promise.allSettled(deletions));
    // A backend deletes what fits, and nothing if nothing does: the next listing tells.
    const still = (await this.#leftRoutes(left)).map(({ route }) => formatRoute(route));
    const issues = outcomes.flatMap((outcome, index) => {
      if (outcome.status === 'rejected')
        return [{ index, code: codeOf(outcome.reason) ?? 'ERR_ROUTE_BACKEND', message: messageOf(outcome.reason) }];
      const route = routes[index] as Route;
      if (!still.includes(formatRoute(route))) return [];
      return [{ index, code: 'ERR_ROUTE_BACKEND', message: `The backend still holds ${formatRoute(route)}` }];
    });
    routes.forEach((route, index) => {
      if (!issues.some((issue) => issue.index === index)) this.#parts.log.info({ ...route }, `swept: ${formatRoute(route)}`);
    });
    if (issues.length > 0) throw new RoutesError(issues, {}, 'not all was swept');
    return routes;
  }

  /**
   * Registers all or none. `single` picks what to throw of the errors by index, where one is to be thrown as it is.
   *
   * @throws RoutesError, or what `single` gives
   */
  async register(registrations: readonly Registration[], single: (errors: Map<number, unknown>) => unknown): Promise<void> {
    const check = this.#parts.engine.checkPaths.bind(this.#parts.engine);
    const enrolment = enrol(
      registrations,
      this.registry,
      this.#parts.config,
      check,
      this.#parts.engine.indistinct?.bind(this.#parts.engine),
    );
    const { entries, issues, errors } = enrolment;
    if (issues.length > 0) throw toError(single(errors) ?? new RoutesError(issues));
    const former = new Map([...enrolment.changed.keys()].map((session) => [session, parametersOf(session)]));
    this.#carryOut(enrolment);
    if (!this.#parts.config.passiveMode) {
      this.#endUnused(enrolment.left);
      return;
    }
    const lives = entries.map(({ life }) => life);
    const outcomes = await Promise.allSettled(entries.map((entry) => this.#parts.installer.confirmed(entry)));
    const failed = outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected' ? [{ index, cause: outcome.reason as unknown }] : [],
    );
    if (failed.length === 0) {
      this.#endUnused(enrolment.left);
      return;
    }
    if (failed.some(({ cause }) => codeOf(cause) === 'ERR_CLOSED')) throw closedError();
    this.#undo(enrolment, former, lives);
    const failures = failed.map(({ index, cause }) => ({ index, code: 'ERR_ROUTE_BACKEND', message: messageOf(cause), cause }));
    const [first] = failures;
    if (registrations.length === 1) throw new LivenessError('ERR_ROUTE_BACKEND', first?.message ?? '', { cause: first?.cause });
    throw new RoutesError(failures, { cause: first?.cause });
  }

  /** Withdraws what is registered of the given routes. Rejects with the first failure, when all have ended. */
  async withdraw(routes: readonly RouteRef[]): Promise<void> {
    const { routeTimeout } = this.#parts.config;
    const entries = routes.flatMap(({ route, iface }) => this.registry.route(parseInterface(iface), parseRoute(route)) ?? []);
    const outcomes = await Promise.allSettled(
      entries.map(async (entry) => {
        const { route } = entry;
        if ((await inTime(this.#leave(entry), routeTimeout)) !== TOO_LATE) return;
        const { lastError } = this.#parts.installer.status(entry);
        const message = `${formatRoute(route)} was not withdrawn within ${routeTimeout} ms, retries go on: ${messageOf(lastError ?? 'no answer')}`;
        throw new LivenessError('ERR_ROUTE_BACKEND', message, { cause: lastError });
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw toError(failed.reason);
  }

  /** Takes a route out of service, or puts it back. @throws LivenessError `ERR_INVALID_ROUTE` where it is not registered */
  async setAdminDown(route: Route, iface: string, down: boolean): Promise<void> {
    const entry = this.registry.route(parseInterface(iface), parseRoute(route));
    if (entry === undefined || entry.leaving) {
      throw new LivenessError('ERR_INVALID_ROUTE', `${formatRoute(route)} is not registered on ${iface}`);
    }
    if (entry.adminDown === down) return Promise.resolve();
    entry.adminDown = down;
    this.#parts.installer.changed(entry);
    this.#judgeAdminState(entry.session);
    return Promise.resolve();
  }

  /** Withdraws every route, as far as that can be done in time; what is left is logged. */
  async withdrawAll(): Promise<void> {
    const { installer, log } = this.#parts;
    const { routeTimeout } = this.#parts.config;
    const outcomes = [...this.registry.routes()].map((entry) => installer.remove(entry));
    if ((await inTime(Promise.all(outcomes), routeTimeout)) !== TOO_LATE) return;
    log.error({ routeTimeout }, 'not all routes were withdrawn in time; what is left stays in the backend, unwatched');
  }

  /** Settles what still waits for the backend, with `ERR_CLOSED`. */
  close(): void {
    this.#parts.installer.close();
    this.#pending.close();
  }

  /** Has engine and installer do what was registered. */
  #carryOut({ entries, added, changed }: Enrolment): void {
    const { engine, installer } = this.#parts;
    for (const [session, parameters] of changed) Object.assign(session, parameters);
    if (added.size > 0) engine.addSessions([...added]);
    if (changed.size > 0) engine.updateSessions([...changed.keys()]);
    for (const { session } of entries) this.#judgeAdminState(session);
    installer.add(entries);
  }

  /** In passive mode a failure leaves what was there as it was, and nothing registered that was not. */
  #undo({ entries, changed, left, renewed }: Enrolment, former: ReadonlyMap<Session, SessionParameters>, lives: readonly number[]): void {
    const { engine, installer } = this.#parts;
    const touched = new Set<Session>(left);
    const restored: RouteEntry[] = [];
    entries.forEach((entry, index) => {
      // Whoever registered or withdrew it meanwhile had the last word.
      if (entry.life !== lives[index]) return;
      touched.add(entry.session);
      const putBack = renewed.get(entry);
      if (putBack === undefined) {
        this.#abandon(entry);
        return;
      }
      putBack((session) => this.#sessionLike(session));
      restored.push(entry);
      if (entry.leaving) this.#abandon(entry);
    });
    const resumed = restored.filter((entry) => !entry.leaving);
    if (resumed.length > 0) installer.add(resumed);
    for (const session of changed.keys()) Object.assign(session, former.get(session));
    if (changed.size > 0) engine.updateSessions([...changed.keys()]);
    this.#endUnused(touched);
  }

  /** A session, or, where it has ended meanwhile, the one there is with its peer by now, or a new one. */
  #sessionLike(session: Session): Session {
    const { id, peer, scope, address, peerPort, timers } = session;
    const alive = this.registry.sessionById(id) ?? this.registry.session(peer);
    if (alive !== undefined) return alive;
    const begun = this.registry.addSession(this.registry.scope(scope.iface, scope.localIP), address, peerPort, timers);
    this.#parts.engine.addSessions([begun]);
    return begun;
  }

  #abandon(entry: RouteEntry): void {
    this.#parts.installer.abandon(entry);
    this.registry.removeRoute(entry);
  }

  /** Ends a route, and its session with its last route. */
  async #leave(entry: RouteEntry): Promise<void> {
    entry.leaving = true;
    entry.life += 1;
    const { life, session } = entry;
    const removed = this.#parts.installer.remove(entry);
    this.#endUnused([session]);
    await removed;
    if (entry.life === life) this.registry.removeRoute(entry);
  }

  /** Ends the sessions that no registered route needs, and takes out of service those whose routes all are. */
  #endUnused(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      if (this.registry.sessionById(session.id) === undefined) continue;
      const isUsed = [...session.routes].some((entry) => !entry.leaving);
      if (isUsed) {
        this.#judgeAdminState(session);
        continue;
      }
      this.registry.removeSession(session);
      this.#parts.engine.removeSessions([session.id]);
    }
  }

  #judgeAdminState(session: Session): void {
    const down = [...session.routes].every((entry) => entry.leaving || entry.adminDown);
    if (session.adminDown === down) return;
    session.adminDown = down;
    this.#parts.engine.setAdminDown([session.id], down);
  }

  /** What the backend holds of a protocol and a table. */
  async #leftRoutes({ protocol, table }: LeftRoutes): Promise<PlacedRoute[]> {
    this.#parts.assertOpen();
    const issues = [
      ...(isIntegerIn(protocol, 1, 255) ? [] : [{ path: 'protocol', message: expected('protocol', 'an integer from 1 to 255', protocol) }]),
      ...(isIntegerIn(table, 1, 0xffff_ffff)
        ? []
        : [{ path: 'table', message: expected('table', 'an integer from 1 to 4294967295', table) }]),
    ];
    if (issues.length > 0) throw new ConfigError(issues);
    const { netlinker } = this.#parts.config;
    const listed = await this.#listing(() => listRoutes(netlinker, protocol));
    this.#parts.assertOpen();
    return listed.filter(({ route }) => route.table === table);
  }

  /** Deletes what nobody has registered. Whoever registers the slot meanwhile is told: the deletion may come after that. */
  async #delete({ route, iface }: PlacedRoute): Promise<void> {
    try {
      await this.#parts.config.netlinker.routeDelete(route, iface);
    } finally {
      const owner = this.registry.occupant(route);
      if (owner !== undefined) this.#parts.installer.disturbed(owner);
    }
  }

  /** What the backend lists. @throws LivenessError `ERR_ROUTE_BACKEND` where it fails or does not answer in time, `ERR_CLOSED` */
  async #listing<T>(call: () => T | Promise<T>): Promise<T> {
    try {
      return await this.#call(call);
    } catch (cause) {
      if (cause instanceof LivenessError && cause.code === 'ERR_CLOSED') throw cause;
      throw new LivenessError('ERR_ROUTE_BACKEND', `The backend cannot list its routes: ${messageOf(cause)}`, { cause });
    }
  }

  /** The backend's answer. @throws whatever it throws; LivenessError `ERR_ROUTE_BACKEND` where it is late, `ERR_CLOSED` */
  async #call<T>(call: () => T | Promise<T>): Promise<T> {
    const { routeTimeout } = this.#parts.config;
    const answer = await this.#pending.wait(inTime(Promise.resolve().then(call), routeTimeout));
    if (answer !== TOO_LATE) return answer;
    throw new LivenessError('ERR_ROUTE_BACKEND', `no answer within ${routeTimeout} ms`);
  }

  /** The registration that a route of the backend belongs to. */
  #registered(route: Route, iface: string | undefined): RouteEntry | undefined {
    const entry = this.registry.occupant(route);
    if (entry === undefined || entry.leaving || (iface !== undefined && iface !== entry.iface)) return undefined;
    const { protocol, nextHop, src } = entry.route;
    return protocol === route.protocol && nextHop === route.nextHop && src === route.src ? entry : undefined;
  }

  /** Whether a route of the backend is registered, or on its way out: then its slot has an owner. */
  #isOwned(route: Route, iface: string | undefined): boolean {
    return this.registry.occupant(route)?.leaving === true || this.#registered(route, iface) !== undefined;
  }
}

function parametersOf({ peerPort, timers }: Session): SessionParameters {
  return { peerPort, timers };
}

/** Promises that have to settle when the manager closes. */
class Pending {
  readonly #rejects = new Set<(error: Error) => void>();
  #closed = false;

  /** The promise, or a rejection with `ERR_CLOSED` where the manager closes first. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    let reject: (error: Error) => void = () => undefined;
    const end = new Promise<never>((_, rejectEnd) => (reject = rejectEnd));
    this.#rejects.add(reject);
    try {
      return await Promise.race([promise, end]);
    } finally {
      this.#rejects.delete(reject);
    }
  }

  close(): void {
    this.#closed = true;
    for (const reject of this.#rejects) reject(closedError());
  }
}

const TOO_LATE = Symbol('too late');

/** How something ends, or that it did not in time. */
async function inTime<T>(ends: Promise<T>, milliseconds: number): Promise<T | typeof TOO_LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof TOO_LATE>((resolve) => {
    timer = setTimeout(resolve, milliseconds, TOO_LATE);
  });
  try {
    return await Promise.race([ends, late]);
  } finally {
    clearTimeout(timer);
  }
}
