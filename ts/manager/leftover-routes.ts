/** The routes that a previous process left in the backend: adopt the registered ones, delete the others. */
import { type AddressFamily, familyOf } from '../base/address.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, RoutesError } from '../base/errors.js';
import { readGuarded } from '../base/guard.js';
import type { Logger } from '../base/logger.js';
import type { Engine } from '../engine/engine.js';
import { formatRoute, isIntegerIn, parseDestination, parseListedRoute, type Route } from '../base/route.js';
import type { Leg, RouteInstaller } from '../routes/installer.js';
import { listRoutes } from '../routes/listings.js';
import { NetlinkRoutes, sweepObjects } from '../routes/netlink-routes.js';
import type { PlacedRoute, RouteReaderWriter } from '../routes/reader-writer.js';
import { placedOn } from '../routes/route-legs.js';
import { isSameRoute } from '../routes/same-place.js';
import type { BackendCalls } from './backend-calls.js';
import type { ManagedRoute } from './managed-route.js';
import type { RouteRegistry } from './route-registry.js';

/** Selects routes of the backend by their protocol number and table. */
export interface RouteFilter {
  /** 1 to 255. */
  protocol: number;
  /** 1 to 4 294 967 295; 254 is `main`. */
  table: number;
}

export interface LeftoverRoutesDependencies {
  readonly backend: RouteReaderWriter;
  readonly engine: Engine;
  readonly calls: BackendCalls;
  readonly installer: RouteInstaller;
  readonly registry: RouteRegistry;
  readonly log: Logger;
  /** Of the addresses that the manager is bound to. */
  readonly families: ReadonlySet<AddressFamily>;
  /** @throws LivenessError `ERR_CLOSED` */
  readonly assertOpen: () => void;
}

export class LeftoverRoutes {
  readonly #dependencies: LeftoverRoutesDependencies;

  constructor(dependencies: LeftoverRoutesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Adopts the registered routes that the backend holds. Resolves with the adopted ones. */
  async adopt(filter: RouteFilter): Promise<Route[]> {
    const { calls, installer } = this.#dependencies;
    const listed = await this.#list(filter);
    const adopted = await calls.untilClosed(
      Promise.all(
        listed.map(async ({ route, iface }) => {
          const { managed, leg } = this.#registered(route, iface) ?? {};
          return managed !== undefined && leg !== undefined && (await installer.adopt(managed, leg)) ? [route] : [];
        }),
      ),
    );
    return adopted.flat();
  }

  /**
   * Deletes the routes that the backend holds and that are not registered, then the next-hop objects over which no route leads.
   * Resolves with the deleted routes.
   */
  async sweep(filter: RouteFilter, dryRun: boolean): Promise<Route[]> {
    const unowned = (await this.#list(filter)).filter(({ route, iface }) => !this.#isOwned(route, iface));
    if (dryRun) return unowned.map(({ route }) => route);
    const swept = unowned.length === 0 ? [] : await this.#sweepRoutes(unowned, filter);
    await this.#sweepObjects(filter.protocol);
    return swept;
  }

  async #sweepRoutes(unowned: readonly PlacedRoute[], filter: RouteFilter): Promise<Route[]> {
    const { calls, log } = this.#dependencies;
    const routes = unowned.map(({ route }) => route);
    const deletions = unowned.map((placed) => calls.call(() => this.#delete(placed)));
    const outcomes = await calls.untilClosed(Promise.allSettled(deletions));
    // Deleting a route that does not fit is no error of a backend: only another listing shows whether it is gone.
    const remaining = (await this.#list(filter)).map(({ route }) => formatRoute(route));
    const issues = outcomes.flatMap((outcome, index) => {
      if (outcome.status === 'rejected')
        return [{ index, code: codeOf(outcome.reason) ?? 'ERR_ROUTE_BACKEND', message: messageOf(outcome.reason) }];
      const route = routes[index] as Route;
      if (!remaining.includes(formatRoute(route))) return [];
      return [{ index, code: 'ERR_ROUTE_BACKEND', message: `The backend still holds ${formatRoute(route)}` }];
    });
    routes.forEach((route, index) => {
      if (!issues.some((issue) => issue.index === index)) log.info({ ...route }, `swept: ${formatRoute(route)}`);
    });
    if (issues.length > 0) throw new RoutesError(issues, {}, 'not all was swept');
    return routes;
  }

  async #sweepObjects(protocol: number): Promise<void> {
    const { backend, engine, calls, families, log, assertOpen } = this.#dependencies;
    if (!(backend instanceof NetlinkRoutes)) return;
    assertOpen();
    const filter = { protocol, ipv4: families.has('IPv4'), ipv6: families.has('IPv6') };
    const count = await calls
      .call(() => engine.sweepObjects?.(filter) ?? sweepObjects(backend, filter))
      .catch((cause: unknown) => {
        if (codeOf(cause) === 'ERR_CLOSED') throw cause;
        throw new LivenessError('ERR_ROUTE_BACKEND', `The kernel cannot sweep its next-hop objects: ${messageOf(cause)}`, { cause });
      });
    if (count > 0) log.info({ protocol, count }, `swept: ${count} next-hop ${count === 1 ? 'object' : 'objects'} that no route uses`);
  }

  async #list({ protocol, table }: RouteFilter): Promise<PlacedRoute[]> {
    const { backend, calls, assertOpen } = this.#dependencies;
    assertOpen();
    const issues = [
      ...(isIntegerIn(protocol, 1, 255) ? [] : [{ path: 'protocol', message: expected('protocol', 'an integer from 1 to 255', protocol) }]),
      ...(isIntegerIn(table, 1, 0xffff_ffff)
        ? []
        : [{ path: 'table', message: expected('table', 'an integer from 1 to 4294967295', table) }]),
    ];
    if (issues.length > 0) throw new ConfigError(issues);
    const listed = await calls.list(() => listRoutes(backend, protocol));
    assertOpen();
    return listed.filter(({ route }) => route.table === table && this.#canBeOurs(route.dst));
  }

  /** A manager that is bound to one family can have left no route of the other. */
  #canBeOurs(dst: string): boolean {
    return parseDestination(dst) !== undefined && this.#dependencies.families.has(familyOf(dst));
  }

  /** Deletes a route. If its slot was registered meanwhile the deletion may have hit the new route: its installer checks. */
  async #delete({ route, iface }: PlacedRoute): Promise<void> {
    const { backend, installer, registry } = this.#dependencies;
    try {
      await backend.routeDelete(route, iface);
    } finally {
      const owner = registry.occupant(comparable(route));
      if (owner !== undefined) installer.disturbed(owner);
    }
  }

  /** The registration that a route of the backend belongs to. */
  #registered(route: Route, iface: string | undefined): { managed: ManagedRoute; leg: Leg } | undefined {
    const managed = this.#dependencies.registry.occupant(comparable(route));
    if (managed === undefined || managed.withdrawing) return undefined;
    for (const leg of managed.backup === undefined ? (['primary'] as const) : (['primary', 'backup'] as const)) {
      const placed = placedOn(managed, leg);
      if ((iface === undefined || iface === placed.iface) && isSameRoute(placed.route, route)) return { managed, leg };
    }
    return undefined;
  }

  /** Whether a route of the backend is registered, or its slot belongs to a route that is being withdrawn. */
  #isOwned(route: Route, iface: string | undefined): boolean {
    const occupant = this.#dependencies.registry.occupant(comparable(route));
    return occupant?.withdrawing === true || this.#registered(route, iface) !== undefined;
  }
}

/** A listed route in the form of registered ones: a backend may list the default priority of IPv6, and addresses in another form. */
function comparable(route: Route): Route {
  return readGuarded(() => parseListedRoute(route), route);
}
