/** When two routes of one slot are the same. */
import { isSameAddress } from '../base/address.js';
import type { Route } from '../base/route.js';
import type { PlacedRoute } from './reader-writer.js';

/** Whether two routes of one slot are the same, and lead over the same interface. */
export function isSamePlace(left: PlacedRoute, right: PlacedRoute): boolean {
  return left === right || (left.iface === right.iface && isSameRoute(left.route, right.route));
}

/** Whether two routes of one slot are the same. A backend may write an IPv6 address in another form than ours. */
export function isSameRoute(left: Route, right: Route): boolean {
  return left.protocol === right.protocol && isSameAddress(left.nextHop, right.nextHop) && isSameAddress(left.src, right.src);
}
