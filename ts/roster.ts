/** The routes that are registered, and what their sessions and the backend are made to do for them. */
import type { ResolvedConfig } from './config.js';
import type { Engine } from './engine/engine.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, RoutesError, toError } from './errors.js';
import type { RouteInstaller } from './installer/installer.js';
import type { Logger } from './logger.js';
import { enrol, type Enrolment, type Registration } from './registration.js';
import { Registry } from './registry/registry.js';
import type { RouteEntry } from './registry/route-entry.js';
import type { Session } from './registry/session.js';
import { formatRoute, isIntegerIn, parseInterface, parseRoute, type Route } from './route.js';

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

  constructor(parts: RosterParts) {
    this.#parts = parts;
  }

  /** Takes over the registered routes that the backend holds; gives those. */
  async adopt(left: LeftRoutes): Promise<Route[]> {
    const listed = await this.#leftRoutes(left);
    return listed.filter((route) => {
      const entry = this.#registered(route);
      if (entry !== undefined) this.#parts.installer.adopt(entry);
      return entry !== undefined;
    });
  }

  /** Deletes the routes that the backend holds and nobody has registered; gives those. */
  async sweep(left: LeftRoutes, dryRun: boolean): Promise<Route[]> {
    const unwanted = (await this.#leftRoutes(left)).filter((route) => this.#registered(route) === undefined);
    if (dryRun) return unwanted;
    const outcomes = await Promise.allSettled(unwanted.map(async (route) => this.#parts.config.netlinker.routeDelete(route)));
    const issues = outcomes.flatMap((outcome, index) =>
      outcome.status === 'fulfilled'
        ? []
        : [{ index, code: codeOf(outcome.reason) ?? 'ERR_ROUTE_BACKEND', message: messageOf(outcome.reason) }],
    );
    if (issues.length > 0) throw new RoutesError(issues, {}, 'not all was swept');
    for (const route of unwanted) this.#parts.log.info({ ...route }, `swept: ${formatRoute(route)}`);
    return unwanted;
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
    this.#carryOut(enrolment);
    if (!this.#parts.config.passiveMode) return;
    const outcomes = await Promise.allSettled(entries.map((entry) => this.#parts.installer.confirmed(entry)));
    const failed = outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected' ? [{ index, cause: outcome.reason as unknown }] : [],
    );
    if (failed.length === 0) return;
    this.#undo(entries, outcomes);
    const failures = failed.map(({ index, cause }) => ({ index, code: 'ERR_ROUTE_BACKEND', message: messageOf(cause), cause }));
    const [first] = failures;
    if (registrations.length === 1) throw new LivenessError('ERR_ROUTE_BACKEND', first?.message ?? '', { cause: first?.cause });
    throw new RoutesError(failures, { cause: first?.cause });
  }

  /** Has engine and installer do what was registered. */
  #carryOut({ entries, added, changed }: Enrolment): void {
    const { engine, installer } = this.#parts;
    for (const [session, parameters] of changed) Object.assign(session, parameters);
    if (added.size > 0) engine.addSessions([...added]);
    if (changed.size > 0) engine.updateSessions([...changed.keys()]);
    for (const { session, adminDown } of entries) {
      if (session.adminDown && !adminDown) this.#setSessionAdminDown(session, false);
    }
    installer.add(entries);
  }

  /** In passive mode a failure leaves nothing registered. */
  #undo(entries: readonly RouteEntry[], outcomes: readonly PromiseSettledResult<void>[]): void {
    entries.forEach((entry, index) => {
      if (outcomes[index]?.status === 'rejected') {
        this.#parts.installer.drop(entry);
        this.#detach(entry);
        this.registry.removeRoute(entry);
      } else {
        void this.#leave(entry);
      }
    });
  }

  /** Withdraws what is registered of the given routes. Rejects with the first failure, when all have ended. */
  async withdraw(routes: readonly RouteRef[]): Promise<void> {
    const { routeTimeout } = this.#parts.config;
    const entries = routes.flatMap(({ route, iface }) => this.registry.route(parseInterface(iface), parseRoute(route)) ?? []);
    const outcomes = await Promise.allSettled(
      entries.map(async (entry) => {
        if (await isInTime(this.#leave(entry), routeTimeout)) return;
        const { lastError } = this.#parts.installer.status(entry);
        const message = `${formatRoute(entry.route)} was not withdrawn within ${routeTimeout} ms, retries go on: ${messageOf(lastError ?? 'no answer')}`;
        throw new LivenessError('ERR_ROUTE_BACKEND', message, { cause: lastError });
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw toError(failed.reason);
  }

  /** Ends a route, and its session with its last route. */
  async #leave(entry: RouteEntry): Promise<void> {
    entry.leaving = true;
    const removed = this.#parts.installer.remove(entry);
    this.#detach(entry);
    await removed;
    this.registry.removeIfLeaving(entry);
  }

  /** Ends the session of a route that leaves if nothing else needs it. */
  #detach(entry: RouteEntry): void {
    const { session } = entry;
    let needed = false;
    for (const other of session.routes) {
      if (other === entry || other.leaving) continue;
      if (!other.adminDown || session.adminDown) return;
      needed = true;
    }
    if (needed) {
      this.#setSessionAdminDown(session, true);
      return;
    }
    if (this.registry.session(session.peer) !== session) return;
    this.registry.removeSession(session);
    this.#parts.engine.removeSessions([session.id]);
  }

  /** What the backend holds of a protocol and a table. */
  async #leftRoutes({ protocol, table }: LeftRoutes): Promise<Route[]> {
    this.#parts.assertOpen();
    const issues = [
      ...(isIntegerIn(protocol, 1, 255) ? [] : [{ path: 'protocol', message: expected('protocol', 'an integer from 1 to 255', protocol) }]),
      ...(isIntegerIn(table, 1, 0xffff_ffff)
        ? []
        : [{ path: 'table', message: expected('table', 'an integer from 1 to 4294967295', table) }]),
    ];
    if (issues.length > 0) throw new ConfigError(issues);
    try {
      const listed = await this.#parts.config.netlinker.routeByProtocol(protocol);
      this.#parts.assertOpen();
      return listed.filter((route) => route.table === table);
    } catch (cause) {
      if (codeOf(cause) === 'ERR_CLOSED') throw cause;
      throw new LivenessError('ERR_ROUTE_BACKEND', `The backend cannot list its routes: ${messageOf(cause)}`, { cause });
    }
  }

  /** The registration that a route of the backend belongs to. */
  #registered(route: Route): RouteEntry | undefined {
    const entry = this.registry.occupant(route);
    if (entry === undefined || entry.leaving) return undefined;
    return entry.protocol === route.protocol && entry.route.nextHop === route.nextHop ? entry : undefined;
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
    const { session } = entry;
    const allDown = [...session.routes].every((other) => other.leaving || other.adminDown);
    if (session.adminDown !== allDown) this.#setSessionAdminDown(session, allDown);
    return Promise.resolve();
  }

  #setSessionAdminDown(session: Session, down: boolean): void {
    session.adminDown = down;
    this.#parts.engine.setAdminDown([session.id], down);
  }

  /** Withdraws every route, as far as that can be done in time; what is left is logged. */
  async withdrawAll(): Promise<void> {
    const entries = [...this.registry.routes()].filter((entry) => !entry.leaving);
    const outcomes = entries.map((entry) => this.#parts.installer.remove(entry));
    if (await isInTime(Promise.all(outcomes), this.#parts.config.routeTimeout)) return;
    const { routeTimeout } = this.#parts.config;
    this.#parts.log.error({ routeTimeout }, 'not all routes were withdrawn in time; what is left stays in the backend, unwatched');
  }
}

/** Whether something ends in time; a failure of it is thrown. */
async function isInTime(ends: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false);
  });
  try {
    return await Promise.race([ends.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
