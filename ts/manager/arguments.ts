/** Checks the arguments of the manager's methods, before a method does anything. */
import * as v from 'valibot';

import { familyOf } from '../base/address.js';
import { codeOf, ConfigError, expected, LivenessError, messageOf, type RouteIssue, RoutesError } from '../base/errors.js';
import { addressField, duration, field, flag, integer, object, optionsOf } from '../base/fields.js';
import type { RouteFilter } from './leftover-routes.js';
import type { RouteRef } from './route-manager.js';
import { isInterfaceName, parseInterface, parseRoute, type Peer } from '../base/route.js';

const FILTER_ENTRIES = { protocol: integer(1, 255), table: integer(1, 0xffff_ffff) };
const FILTER_SCHEMA = object(FILTER_ENTRIES);
const SWEEP_SCHEMA = object({ ...FILTER_ENTRIES, dryRun: v.optional(flag) });

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedFilter(given: unknown): RouteFilter {
  return optionsOf(FILTER_SCHEMA, given);
}

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedSweep(given: unknown): { filter: RouteFilter; dryRun: boolean } {
  const { dryRun = false, ...filter } = optionsOf(SWEEP_SCHEMA, given);
  return { filter, dryRun };
}

/** The longest hold: a day, in milliseconds. */
const LONGEST_HOLD = 86_400_000;

const PEERS_FIELD = v.optional(field<readonly unknown[]>('an array of peers', Array.isArray));
const HOLD_SCHEMA = object({ duration: duration(LONGEST_HOLD), peers: PEERS_FIELD });
const RELEASE_SCHEMA = object({ peers: PEERS_FIELD });

/** @throws ConfigError `ERR_CONFIG` */
export function checkedHold(given: unknown): { duration: number; peers: Peer[] | undefined } {
  const { duration: forMs, peers } = optionsOf(HOLD_SCHEMA, given);
  return { duration: forMs, peers: peers && checkedArrayOf(peers) };
}

/** @throws ConfigError `ERR_CONFIG` */
export function checkedRelease(given: unknown): { peers: Peer[] | undefined } {
  const { peers } = optionsOf(RELEASE_SCHEMA, given);
  return { peers: peers && checkedArrayOf(peers) };
}

function checkedArrayOf(peers: readonly unknown[]): Peer[] {
  return Array.from(peers, (peer) => checkedPeer(peer));
}

const PEER_SCHEMA = object({
  iface: field<string>('the name of an interface, 1 to 15 characters', isInterfaceName),
  localIP: addressField,
  peerIP: addressField,
});

/** A peer with its addresses in canonical form. @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function checkedPeer(given: unknown): Peer {
  const peer = optionsOf(PEER_SCHEMA, given, 'peer');
  const family = familyOf(peer.localIP);
  if (familyOf(peer.peerIP) === family) return peer;
  const what = `an ${family} address, as \`peer.localIP\` (${peer.localIP}) is one`;
  throw new ConfigError([{ path: 'peerIP', message: expected('peer.peerIP', what, peer.peerIP) }]);
}

/**
 * Checks routes to withdraw. Options of the registration may be present and are ignored.
 *
 * @throws RoutesError with the index of each invalid route; LivenessError `ERR_INVALID_ROUTE` if `given` is no array
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

/** Copies an array; a hole becomes `undefined`. @throws LivenessError `ERR_INVALID_ROUTE` */
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
