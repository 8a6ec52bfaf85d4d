/** The Linux routing tables. */
import type { NativeRoute, NativeRoutesHandle } from '../engine/binding.js';
import { loadBinding } from '../engine/load.js';
import { parsePrefix } from '../address.js';
import { codeOf, LivenessError, messageOf } from '../errors.js';
import { formatSlot, parseListedRoute, parseRoute, type Route } from '../route.js';
import { type BackendOptions, checkProtocol, takesOver } from './options.js';
import type { RouteReaderWriter } from './reader-writer.js';

/**
 * The kernel's routing tables over rtnetlink. Needs CAP_NET_ADMIN to change them.
 *
 * A slot is (table, destination, priority). An occupied slot is replaced only if its route carries our protocol number;
 * else adding fails with `ERR_ROUTE_CONFLICT`. Deletion names table, destination, priority, protocol and next hop, so
 * that it never fits a route of anybody else.
 */
export class NetlinkRoutes implements RouteReaderWriter {
  /** Whether adding replaces whatever occupies a slot. */
  readonly takeOver: boolean;
  readonly #native: NativeRoutesHandle;

  /**
   * @param options.takeOver replace whatever occupies a slot, as the reference does. Default: false
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_NETLINK_UNAVAILABLE` without the addon
   */
  constructor(options?: BackendOptions) {
    this.takeOver = takesOver(options);
    this.#native = openRoutes();
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

  /** Rejects with `ERR_INVALID_ROUTE`, `ERR_ROUTE_CONFLICT` or the system's error. */
  async routeAdd(route: Route): Promise<void> {
    const wanted = parseRoute(route);
    await this.#native.add(toNative(wanted), this.takeOver).catch(failed(`cannot add the route to the slot (${formatSlot(wanted)})`));
  }

  /** Rejects with `ERR_INVALID_ROUTE` or the system's error; a route that is not there is no error. */
  async routeDelete(route: Route): Promise<void> {
    const unwanted = parseListedRoute(route);
    await this.#native.delete(toNative(unwanted)).catch(failed(`cannot delete the route from the slot (${formatSlot(unwanted)})`));
  }

  /** The routes of a protocol in all tables that are of the kind made here: IPv4, unicast, through one gateway. */
  async routeByProtocol(protocol: number): Promise<Route[]> {
    checkProtocol(protocol);
    const routes = await this.#native.list(protocol).catch(failed('cannot list the routes'));
    return routes.map(fromNative);
  }
}

function openRoutes(): NativeRoutesHandle {
  try {
    return new (loadBinding().NativeRoutes)();
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

/** @internal */
export function toNative(route: Route): NativeRoute {
  const { address: dst, length: prefixLength } = parsePrefix(route.dst) ?? { address: '0.0.0.0', length: 0 };
  const { table, src, nextHop, protocol, priority = 0 } = route;
  return { table, dst, prefixLength, src, nextHop, protocol, priority };
}

function fromNative(route: NativeRoute): Route {
  const { table, dst, prefixLength, src, nextHop, protocol, priority } = route;
  return { table, dst: `${dst}/${prefixLength}`, src, nextHop, protocol, ...(priority === 0 ? {} : { priority }) };
}
