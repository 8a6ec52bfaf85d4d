/** What the methods of a manager are given, checked before anything is done. */
import * as v from 'valibot';

import { isIPv4 } from '../base/address.js';
import { codeOf, expected, LivenessError, messageOf, type RouteIssue, RoutesError } from '../base/errors.js';
import { field, flag, integer, object, optionsOf } from '../base/fields.js';
import type { LeftRoutes, RouteRef } from './route-manager.js';
import { isInterfaceName, parseInterface, parseRoute, type Peer } from '../base/route.js';

const LEFT_ENTRIES = { protocol: integer(1, 255), table: integer(1, 0xffff_ffff) };
const LEFT_SCHEMA = object(LEFT_ENTRIES);
const SWEEP_SCHEMA = object({ ...LEFT_ENTRIES, dryRun: v.optional(flag) });

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedLeft(given: unknown): LeftRoutes {
  return optionsOf(LEFT_SCHEMA, given);
}

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedSweep(given: unknown): { left: LeftRoutes; dryRun: boolean } {
  const { dryRun = false, ...left } = optionsOf(SWEEP_SCHEMA, given);
  return { left, dryRun };
}

const address = field<string>('an IPv4 address', (value) => typeof value === 'string' && isIPv4(value));
const PEER_SCHEMA = object({
  iface: field<string>('the name of an interface, 1 to 15 characters', isInterfaceName),
  localIP: address,
  peerIP: address,
});

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedPeer(given: unknown): Peer {
  return optionsOf(PEER_SCHEMA, given, 'peer');
}

/**
 * Routes by the names that they were registered under. What was registered with options may be given with them.
 *
 * @throws RoutesError with the index of each that is none; LivenessError `ERR_INVALID_ROUTE` where it is no array
 */
export function checkedRefs(given: unknown): RouteRef[] {
  const issues: RouteIssue[] = [];
  const refs = checkedArray(given, 'routes').flatMap((ref, index) => {
    try {
      return [checkedRef(ref)];
    } catch (error) {
      issues.push({ index, code: codeOf(error) ?? 'ERR_INVALID_ROUTE', message: messageOf(error) });
      return [];
    }
  });
  if (issues.length > 0) throw new RoutesError(issues, {}, 'nothing was withdrawn');
  return refs;
}

/** Holes are `undefined`, as whoever iterates finds them. @throws LivenessError `ERR_INVALID_ROUTE` */
export function checkedArray(given: unknown, path: string): unknown[] {
  if (Array.isArray(given)) return Array.from(given as unknown[]);
  throw new LivenessError('ERR_INVALID_ROUTE', expected(path, 'an array of objects with `route` and `iface`', given));
}

function checkedRef(ref: unknown): RouteRef {
  if (typeof ref !== 'object' || ref === null) {
    throw new LivenessError('ERR_INVALID_ROUTE', expected('', 'an object with `route` and `iface`', ref));
  }
  const { route, iface } = ref as { route?: unknown; iface?: unknown };
  return { route: parseRoute(route), iface: parseInterface(iface) };
}
