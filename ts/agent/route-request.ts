/** Routes as requests to the control API name them. */
import * as v from 'valibot';

import { canonicalAddress } from '../base/address.js';
import type { ConfigIssue } from '../base/errors.js';
import { addressField, definedOf, duration, field, flag, integer, object, parsed } from '../base/fields.js';
import { MAX_INTERVAL } from '../base/intervals.js';
import type { AuthOptions, BackupOptions, DampingOptions, Registration } from '../index.js';
import { dampingEntries, dampingFieldOf, holdUpField } from '../manager/damping-options.js';
import { parseAuth } from '../manager/session-auth.js';
import { DEFAULT_ROUTE_PROTOCOL, DEFAULT_TABLE } from './config/registrations.js';

const text = field<string>('a text', (value) => typeof value === 'string' && value !== '');

const { penalty, suppressAbove, reuseBelow, halfLife, maxSuppress } = dampingEntries;
const DAMPING_SCHEMA = object({
  penalty,
  suppress_above: suppressAbove,
  reuse_below: reuseBelow,
  half_life_ms: halfLife,
  max_suppress_ms: maxSuppress,
});
const BACKUP_SCHEMA = object({
  next_hop: addressField,
  iface: text,
  peer_ip: v.optional(addressField),
  local_ip: v.optional(addressField),
});

/** The addresses, the prefix and the interface are judged with the route as a whole, by the manager. */
const ROUTE_SCHEMA = object({
  manager: v.optional(text),
  iface: text,
  dst: text,
  next_hop: text,
  src: text,
  table: v.optional(integer(1, 0xffff_ffff)),
  route_protocol: v.optional(integer(1, 255)),
  priority: v.optional(integer(0, 0xffff_ffff)),
  peer_ip: v.optional(addressField),
  port: v.optional(integer(1, 65_535)),
  tx_min_ms: v.optional(duration(MAX_INTERVAL)),
  rx_min_ms: v.optional(duration(MAX_INTERVAL)),
  detect_mult: v.optional(integer(1, 255)),
  multihop: v.optional(flag),
  backup: v.optional(BACKUP_SCHEMA),
  hold_up_ms: v.optional(holdUpField),
  damping: v.optional(dampingFieldOf(DAMPING_SCHEMA)),
  // By itself, since no message may show a value.
  auth: v.optional(v.unknown()),
});

type RouteFields = v.InferOutput<typeof ROUTE_SCHEMA>;

/** A route of a request. */
export interface RequestedRoute {
  readonly manager: string | undefined;
  readonly registration: Registration;
  /** The group of keys in the file that the request names. */
  readonly authGroup: string | undefined;
}

/** A route, or the faults of its fields. */
export function parseRouteRequest(given: unknown): { readonly route: RequestedRoute | undefined; readonly issues: readonly ConfigIssue[] } {
  const { output, issues } = parsed(ROUTE_SCHEMA, given);
  const { options, authGroup, issues: faults } = authOf((given as Partial<RouteFields> | null)?.auth);
  issues.push(...faults);
  if (issues.length > 0) return { route: undefined, issues };
  const registration = toRegistration(output);
  const route = {
    manager: output.manager,
    registration: options === undefined ? registration : { ...registration, auth: options },
    authGroup,
  };
  return { route, issues };
}

interface RequestedAuth {
  readonly options: AuthOptions | undefined;
  readonly authGroup: string | undefined;
  readonly issues: readonly ConfigIssue[];
}

function authOf(given: unknown): RequestedAuth {
  if (given === undefined) return { options: undefined, authGroup: undefined, issues: [] };
  if (typeof given === 'string') return { options: undefined, authGroup: given, issues: [] };
  const { issues } = parseAuth(given);
  return { options: issues.length > 0 ? undefined : (given as AuthOptions), authGroup: undefined, issues };
}

function toRegistration({ iface, dst, next_hop, src, table, route_protocol, priority, ...rest }: RouteFields): Registration {
  const route = {
    table: table ?? DEFAULT_TABLE,
    dst,
    nextHop: canonicalAddress(next_hop) ?? next_hop,
    src: canonicalAddress(src) ?? src,
    protocol: route_protocol ?? DEFAULT_ROUTE_PROTOCOL,
    ...(priority === undefined ? {} : { priority }),
  };
  const { peer_ip, port, tx_min_ms, rx_min_ms, detect_mult, multihop, backup, hold_up_ms, damping } = rest;
  const options = {
    peerIP: peer_ip,
    port,
    txMin: tx_min_ms,
    rxMin: rx_min_ms,
    detectMult: detect_mult,
    multihop,
    holdUp: hold_up_ms,
    backup: backup && toBackup(backup),
    damping: typeof damping === 'object' ? toDampingOptions(damping) : damping,
  };
  return { route, iface, ...definedOf(options) };
}

function toBackup({ next_hop, iface, peer_ip, local_ip }: v.InferOutput<typeof BACKUP_SCHEMA>): BackupOptions {
  return { nextHop: next_hop, iface, ...definedOf({ peerIP: peer_ip, localIP: local_ip }) };
}

function toDampingOptions(given: v.InferOutput<typeof DAMPING_SCHEMA>): DampingOptions {
  const { penalty, suppress_above, reuse_below, half_life_ms, max_suppress_ms } = given;
  const options = { penalty, suppressAbove: suppress_above, reuseBelow: reuse_below, halfLife: half_life_ms, maxSuppress: max_suppress_ms };
  return definedOf(options);
}

/** The names that the fields of registrations have in requests. */
const API_NAMES: ReadonlyMap<string, string> = new Map([
  ['nextHop', 'next_hop'],
  ['peerIP', 'peer_ip'],
  ['localIP', 'local_ip'],
  ['txMin', 'tx_min_ms'],
  ['rxMin', 'rx_min_ms'],
  ['detectMult', 'detect_mult'],
  ['holdUp', 'hold_up_ms'],
  ['suppressAbove', 'suppress_above'],
  ['reuseBelow', 'reuse_below'],
  ['halfLife', 'half_life_ms'],
  ['maxSuppress', 'max_suppress_ms'],
]);

/** A fault of a registration as one of the request that has led to it. */
export function asRequestIssue(index: number, { path, message }: ConfigIssue): ConfigIssue {
  const renamed = (dotted: string): string => {
    return dotted
      .split('.')
      .map((name) => API_NAMES.get(name) ?? name)
      .join('.');
  };
  return {
    path: path === '' ? String(index) : `${index}.${renamed(path)}`,
    message: message.replace(/`([\w.]+)`/g, (_, name: string) => `\`${renamed(name)}\``),
  };
}
