/** Routes, peers and route keys: types, validation and formatting. */
import {
  canonicalIPv6,
  familyOf,
  isUnicast,
  looksLikeIPv6,
  parsePrefix,
  parsePrefixIPv6,
  type Prefix,
  unicastAddress,
  unicastIPv6,
} from './address.js';
import { expected, invalidRoute, LivenessError } from './errors.js';
import { didYouMean } from './nearest-name.js';

/** A route (reference name: `routing.Route`). Its addresses are of one family. */
export interface Route {
  /** The routing table, 1 to 4 294 967 295; 254 is `main`. */
  table: number;
  /** The destination prefix, `10.9.0.7/32` or `2001:db8::/64`. A /32, or a /128 of IPv6, names the peer; any other prefix needs `peerIP` at registration. */
  dst: string;
  /** The preferred source address; the local end of the session. */
  src: string;
  /** The gateway. A link-local one of IPv6 is reached over the interface that the route is added with. */
  nextHop: string;
  /** The protocol number, which marks the route as one of ours, 1 to 255; 186 is BGP. */
  protocol: number;
  /** The metric, 0 to 4 294 967 295. Default: the kernel's own, which is 0 in IPv4 and 1024 in IPv6, where 0 means 1024, too. */
  priority?: number;
  /** Never delete this route after it was installed. Default: false. */
  noUninstall?: boolean;
}

/** The key of a registered route (reference name: `RouteKey`). `priority` is an addition. */
export interface RouteKey {
  iface: string;
  srcIP: string;
  table: number;
  /** The destination prefix. */
  dstPrefix: string;
  nextHop: string;
  priority: number;
}

/** A remote endpoint, with the local endpoint that reaches it (reference name: `Peer`). */
export interface Peer {
  iface: string;
  /** The local address of the session. In what a manager returns, addresses of IPv6 are in canonical form (RFC 5952). */
  localIP: string;
  /** The peer's address, of the same family. A link-local one (`fe80::1`) is on the link of `iface`. */
  peerIP: string;
}

/** The key of a route on an interface. */
export function routeKey(iface: string, route: Route): RouteKey {
  checkPrintable('route', route, ROUTE_FIELDS);
  const { src, table, dst, nextHop } = route;
  const address = (text: string): string => canonicalIPv6(text) ?? text;
  return { iface, srcIP: address(src), table, dstPrefix: canonicalPrefix(dst), nextHop: address(nextHop), priority: priorityOf(route) };
}

/** The key as text, for use in a `Map`; equal keys give equal texts. */
export function formatRouteKey(key: RouteKey): string {
  checkPrintable('key', key, KEY_FIELDS);
  return `interface: ${key.iface}, srcIP: ${key.srcIP}, table: ${key.table}, dstPrefix: ${key.dstPrefix}, nextHop: ${key.nextHop}, priority: ${key.priority}`;
}

/** The route in the format of `ip route`: `10.9.0.7/32 via 10.0.0.2 src 10.0.0.1 table 254 proto 186`. */
export function formatRoute(route: Route): string {
  checkPrintable('route', route, ROUTE_FIELDS);
  const priority = priorityOf(route);
  const metric = priority === 0 ? '' : ` metric ${priority}`;
  return `${route.dst} via ${route.nextHop} src ${route.src} table ${route.table} proto ${route.protocol}${metric}`;
}

/** `interface: eth0, localIP: 10.0.0.1, peerIP: 10.0.0.2` (reference name: `Peer.String`). */
export function formatPeer(peer: Peer): string {
  checkPrintable('peer', peer, PEER_FIELDS);
  return `interface: ${peer.iface}, localIP: ${peer.localIP}, peerIP: ${peer.peerIP}`;
}

/** The slot of a route in the kernel. Two registered routes must not have the same slot. */
export function formatSlot(route: Route): string {
  return `table ${route.table}, destination ${canonicalPrefix(route.dst)}, priority ${priorityOf(route)}`;
}

/** Whether the addresses of a route are of IPv6. */
export function isIPv6Route({ dst }: Route): boolean {
  return looksLikeIPv6(dst);
}

/** The metric that the kernel gives to an IPv6 route without one (linux/ipv6_route.h: IP6_RT_PRIO_USER). */
const IPV6_DEFAULT_PRIORITY = 1024;

/** The priority by which the kernel tells slots apart. */
export function priorityOf(route: Route): number {
  return kernelPriority(isIPv6Route(route), route.priority);
}

/** The priority that the kernel gives to a route of a family. */
export function kernelPriority(isIPv6: boolean, priority = 0): number {
  return priority === 0 && isIPv6 ? IPV6_DEFAULT_PRIORITY : priority;
}

/** The parts of a destination of either family, in canonical form. */
export function parseDestination(dst: string): Prefix | undefined {
  return looksLikeIPv6(dst) ? parsePrefixIPv6(dst) : parsePrefix(dst);
}

/** The destination in canonical form; the text as it is where it is no prefix. */
function canonicalPrefix(dst: string): string {
  const prefix = looksLikeIPv6(dst) ? parsePrefixIPv6(dst) : undefined;
  return prefix === undefined ? dst : `${prefix.address}/${prefix.length}`;
}

/** The sources that a backend lists for a route without one, and valid ones of their families. */
const NO_SOURCES: ReadonlyMap<unknown, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
]);

/** A frozen copy of a route from a backend's listing, which may have no source. @throws as `parseRoute` */
export function parseListedRoute(route: unknown): Readonly<Route> {
  if (typeof route !== 'object' || route === null) throw invalidRoute('route', 'an object', route);
  // A backend of the user may list more than a route has.
  const { table, dst, src, nextHop, protocol, priority, noUninstall } = route as Record<keyof Route, unknown>;
  const listed = { table, dst, src, nextHop, protocol, priority, noUninstall };
  // Any unicast address of the family passes the check of the other fields.
  const valid = NO_SOURCES.get(src);
  return valid === undefined ? parseRoute(listed) : Object.freeze({ ...parseRoute({ ...listed, src: valid }), src: src as string });
}

/** A frozen copy of a valid route, in IPv6 in canonical form: equal routes have equal fields. @throws LivenessError `ERR_INVALID_ROUTE`, naming the first field that is wrong or unknown. */
export function parseRoute(route: unknown): Readonly<Route> {
  if (typeof route !== 'object' || route === null) throw invalidRoute('route', 'an object', route);
  const { table, dst, src, nextHop, protocol, priority, noUninstall } = route as Record<keyof Route, unknown>;
  require(isIntegerIn(table, 1, 0xffff_ffff), 'route.table', 'an integer from 1 to 4294967295', table);
  const prefix = typeof dst === 'string' ? parseDestination(dst) : undefined;
  require(prefix !== undefined, 'route.dst', 'a prefix like `10.9.0.7/32` or `2001:db8::/64`, without bits set beyond its length', dst);
  const isIPv6 = looksLikeIPv6(prefix.address);
  const addresses = isIPv6 ? ipv6Addresses(src, nextHop) : ipv4Addresses(src, nextHop);
  require(isIntegerIn(protocol, 1, 255), 'route.protocol', 'an integer from 1 to 255', protocol);
  require(priority === undefined || isIntegerIn(priority, 0, 0xffff_ffff), 'route.priority', 'an integer from 0 to 4294967295', priority);
  require(noUninstall === undefined || typeof noUninstall === 'boolean', 'route.noUninstall', 'a boolean', noUninstall);
  for (const name in route) if (!ROUTE_NAMES.has(name)) throw unknownField(name);
  return Object.freeze({
    table,
    dst: isIPv6 ? `${prefix.address}/${prefix.length}` : dst,
    ...addresses,
    protocol,
    ...(priority === undefined || (isIPv6 && (priority === 0 || priority === IPV6_DEFAULT_PRIORITY)) ? {} : { priority }),
    ...(noUninstall === undefined ? {} : { noUninstall }),
  } as Route);
}

/** @throws LivenessError `ERR_INVALID_ROUTE` */
function ipv4Addresses(src: unknown, nextHop: unknown): Pick<Route, 'src' | 'nextHop'> {
  require(isAddress(src), 'route.src', 'an IPv4 unicast address, as `route.dst` is of IPv4', src);
  require(isAddress(nextHop), 'route.nextHop', 'an IPv4 unicast address, as `route.dst` is of IPv4', nextHop);
  return { src, nextHop };
}

/** The addresses in canonical form. @throws LivenessError `ERR_INVALID_ROUTE` */
function ipv6Addresses(src: unknown, nextHop: unknown): Pick<Route, 'src' | 'nextHop'> {
  const [source, gateway] = [src, nextHop].map((address) => (typeof address === 'string' ? unicastIPv6(address) : undefined));
  require(source !== undefined, 'route.src', whatInIPv6(src), src);
  require(gateway !== undefined, 'route.nextHop', whatInIPv6(nextHop), nextHop);
  return { src: source, nextHop: gateway };
}

/** What an address of an IPv6 route has to be, with the reason for which the given one is refused. */
function whatInIPv6(given: unknown): string {
  const hasZone = typeof given === 'string' && given.includes('%');
  return hasZone
    ? 'an IPv6 unicast address without a zone, since `iface` names the interface'
    : 'an IPv6 unicast address, as `route.dst` is of IPv6';
}

/** Whether Linux accepts a name for an interface. */
export function isInterfaceName(iface: unknown): iface is string {
  return typeof iface === 'string' && /^[^\s/]{1,15}$/.test(iface) && iface !== '.' && iface !== '..';
}

/** Validates the name of an interface. @throws LivenessError `ERR_NO_SUCH_INTERFACE` */
export function parseInterface(iface: unknown): string {
  if (isInterfaceName(iface)) return iface;
  throw new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface, 1 to 15 characters', iface));
}

/**
 * The peer of a valid route: the given address in canonical form, or the destination if it is one host.
 *
 * @throws LivenessError `ERR_INVALID_ROUTE`
 */
export function peerOf(route: Readonly<Route>, peerIP: unknown): string {
  if (peerIP !== undefined) {
    const what = isIPv6Route(route) ? whatInIPv6(peerIP) : 'an IPv4 unicast address, as `route.dst` is of IPv4';
    const address = typeof peerIP === 'string' ? unicastAddress(peerIP) : undefined;
    require(address !== undefined && familyOf(address) === familyOf(route.dst), 'peerIP', what, peerIP);
    return address;
  }
  const { address, length } = parseDestination(route.dst) ?? { address: '', length: 0 };
  const whole = isIPv6Route(route) ? 128 : 32;
  const isHost = length === whole && unicastAddress(address) !== undefined;
  require(isHost, 'route.dst', `a unicast /${whole} where \`peerIP\` does not name the peer`, route.dst);
  return address;
}

/** @throws LivenessError `ERR_INVALID_ROUTE` if it is no object, or a field is neither text nor number */
function checkPrintable(path: string, value: unknown, names: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw invalidRoute(path, 'an object', value);
  for (const name of names) {
    const field = (value as Record<string, unknown>)[name];
    const isPrintable = field === undefined || typeof field === 'string' || typeof field === 'number';
    if (!isPrintable) throw invalidRoute(`${path}.${name}`, 'a string or a number', field);
  }
}

const ROUTE_FIELDS = ['table', 'dst', 'src', 'nextHop', 'protocol', 'priority'] as const;
const ROUTE_NAMES: ReadonlySet<string> = new Set([...ROUTE_FIELDS, 'noUninstall']);
const KEY_FIELDS = ['iface', 'srcIP', 'table', 'dstPrefix', 'nextHop', 'priority'] as const;
const PEER_FIELDS = ['iface', 'localIP', 'peerIP'] as const;

function unknownField(name: string): LivenessError {
  const names = [...ROUTE_NAMES];
  const message = `Unknown field \`route.${name}\`${didYouMean(name, names)}; a route has ${names.join(', ')}`;
  return new LivenessError('ERR_INVALID_ROUTE', message);
}

function require(holds: boolean, path: string, what: string, got: unknown): asserts holds {
  if (!holds) throw invalidRoute(path, what, got);
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && isUnicast(value);
}

export function isIntegerIn(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}
