/** The Linux routing tables. */
import type { NativeRoute, NativeRoutesHandle } from '../engine/native/binding.js';
import { loadBinding } from '../engine/native/load.js';
import type { ObjectFilter } from '../engine/engine.js';
import { codeOf, ConfigError, LivenessError, messageOf } from '../base/errors.js';
import { formatSlot, parseDestination, parseListedRoute, parseRoute, priorityOf, type Route } from '../base/route.js';
import { checkProtocol, netlinkOptions, type NetlinkRoutesOptions, type ObjectRange } from './backend-options.js';
import type { PlacedRoute, RouteReaderWriter, RouteWatcher } from './reader-writer.js';

/**
 * The kernel's routing tables over rtnetlink. Needs CAP_NET_ADMIN to change them.
 *
 * A slot is (table, destination, priority) with TOS 0. Adding a route to an occupied slot replaces a route with our protocol
 * number that is unicast with one next hop and no metrics; any other occupant is `ERR_ROUTE_CONFLICT`. A deletion names table,
 * destination, TOS, priority, protocol, next hop and output interface, so that it matches no route of another program.
 *
 * Routes are of IPv4 or IPv6. An IPv6 route without a priority has 1024, and is listed without one.
 */
export class NetlinkRoutes implements RouteReaderWriter {
  /** Whether adding replaces any occupant of a slot. */
  readonly takeOver: boolean;
  /** The numbers of next-hop objects; `undefined` where routes hang on none. */
  readonly nextHopObjects: ObjectRange | undefined;
  readonly #native: NativeRoutesHandle;
  readonly #watchers = new Set<RouteWatcher>();

  /**
   * @param options.takeOver replace any occupant of a slot, as the reference does. Default: false
   * @param options.nextHopObjects see `NetlinkRoutesOptions`
   * @throws ConfigError `ERR_CONFIG`, also where the kernel has no next-hop objects; LivenessError `ERR_NETLINK_UNAVAILABLE` without the addon
   */
  constructor(options?: NetlinkRoutesOptions) {
    const { takeOver, objects } = netlinkOptions(options);
    this.takeOver = takeOver;
    this.nextHopObjects = objects;
    this.#native = openRoutes(objects);
    HANDLES.set(this, this.#native);
    if (objects === undefined || this.#native.hasObjects()) return;
    const message = '`nextHopObjects` needs a kernel that has them: Linux 5.3 or later';
    throw new ConfigError([{ path: 'nextHopObjects', message }]);
  }

  /** @throws LivenessError `EPERM` without CAP_NET_ADMIN in this network namespace */
  checkAccess(): void {
    try {
      this.#native.checkAccess();
    } catch (cause) {
      const code = codeOf(cause) ?? 'EPERM';
      throw new LivenessError(code, `Changing the kernel's routes needs CAP_NET_ADMIN: ${messageOf(cause)}`, { cause });
    }
  }

  /**
   * Rejects with `ERR_INVALID_ROUTE`, `ERR_ROUTE_CONFLICT` or the system's error, `ENODEV` for an unknown interface.
   *
   * @param iface the output interface. Default: the kernel's choice
   */
  async routeAdd(route: Route, iface?: string): Promise<void> {
    const added = parseRoute(route);
    await this.#native.add(toNative(added, iface), this.takeOver).catch(failed(`cannot add the route to the slot (${formatSlot(added)})`));
  }

  /** Appends the new route to the slot, then deletes the old route. Rejects as `routeAdd`. */
  async routeReplace(previous: PlacedRoute, { route, iface }: PlacedRoute): Promise<void> {
    const [old, added] = [parseListedRoute(previous.route), parseRoute(route)];
    await this.#native
      .replace(toNative(old, previous.iface), toNative(added, iface), this.takeOver)
      .catch(failed(`cannot replace the route in the slot (${formatSlot(added)})`));
  }

  /**
   * Rejects with `ERR_INVALID_ROUTE` or the system's error. A missing route is no error.
   *
   * @param iface the output interface. Default: any
   */
  async routeDelete(route: Route, iface?: string): Promise<void> {
    const deleted = parseListedRoute(route);
    await this.#native.delete(toNative(deleted, iface)).catch(failed(`cannot delete the route from the slot (${formatSlot(deleted)})`));
  }

  /** Whether exactly this route, including its source, is in the table. If so, its loss is reported from now on. */
  async routeHolds({ route, iface }: PlacedRoute): Promise<boolean> {
    const added = parseRoute(route);
    return this.#native.holds(toNative(added, iface)).catch(failed(`cannot be asked for the route in the slot (${formatSlot(added)})`));
  }

  /** The routes of a protocol in all tables that this class can make: unicast, TOS 0, one gateway, no metrics. */
  async routeByProtocol(protocol: number): Promise<Route[]> {
    return (await this.placedRoutes(protocol)).map(({ route }) => route);
  }

  /** As `routeByProtocol`, with the output interfaces. */
  async placedRoutes(protocol: number): Promise<PlacedRoute[]> {
    checkProtocol(protocol);
    const routes = await this.#native.list(protocol).catch(failed('cannot list the routes'));
    return routes.map((listed) => ({ route: fromNative(listed), iface: listed.iface }));
  }

  /** Reports routes added here that another program has deleted or replaced, or that the kernel dropped with a link or address. */
  watchRoutes(watcher: RouteWatcher): () => void {
    if (this.#watchers.size === 0) this.#native.watch(() => this.#reportLosses());
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#native.unwatch();
    };
  }

  #reportLosses(): void {
    const { taken, dropped, unwatched } = this.#native.news();
    for (const watcher of [...this.#watchers]) {
      if (taken.length > 0) watcher.lost(taken.map(fromNative), 'taken');
      if (dropped.length > 0) watcher.lost(dropped.map(fromNative), 'dropped');
      if (unwatched !== undefined) {
        watcher.failed(new LivenessError('ERR_NETLINK_UNAVAILABLE', `The kernel's tables are not watched any more: ${unwatched}`));
      }
    }
  }
}

/** For `sweepObjects`, which is for managers alone: it knows nothing of the routes of one that arms them. */
const HANDLES = new WeakMap<NetlinkRoutes, NativeRoutesHandle>();

/** Deletes the next-hop objects of a previous process over which no route leads. Resolves with how many; rejects with the system's error. */
export async function sweepObjects(routes: NetlinkRoutes, filter: ObjectFilter): Promise<number> {
  return (await HANDLES.get(routes)?.sweepObjects(filter)) ?? 0;
}

function openRoutes(objects: ObjectRange | undefined): NativeRoutesHandle {
  try {
    return new (loadBinding().NativeRoutes)(objects);
  } catch (cause) {
    const message = `NetlinkRoutes needs the native addon: ${messageOf(cause)}`;
    throw new LivenessError('ERR_NETLINK_UNAVAILABLE', message, { cause });
  }
}

function failed(what: string): (cause: unknown) => never {
  return (cause) => {
    throw new LivenessError(codeOf(cause) ?? 'ERR_ROUTE_BACKEND', `The kernel ${what}: ${messageOf(cause)}`, { cause });
  };
}

function toNative(route: Route, iface: string | undefined): NativeRoute {
  const { address: dst, length: prefixLength } = parseDestination(route.dst) ?? { address: '0.0.0.0', length: 0 };
  const { table, src, nextHop, protocol } = route;
  return { table, dst, prefixLength, src, nextHop, protocol, priority: priorityOf(route), iface };
}

function fromNative(route: NativeRoute): Route {
  const { table, dst, prefixLength, src, nextHop, protocol, priority } = route;
  const listed = { table, dst: `${dst}/${prefixLength}`, src, nextHop, protocol };
  return priority === priorityOf(listed) ? listed : { ...listed, priority };
}
