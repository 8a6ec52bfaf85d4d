/** The bodies of requests to the control API. */
import * as v from 'valibot';

import { canonicalAddress } from '../base/address.js';
import { expected } from '../base/errors.js';
import { addressField, definedOf, duration, field, flag, integer, object, parsed } from '../base/fields.js';
import { MAX_INTERVAL } from '../base/intervals.js';
import type { Registration } from '../index.js';
import { DEFAULT_ROUTE_PROTOCOL, DEFAULT_TABLE } from './config/registrations.js';
import type { HoldRequest, ReleaseRequest } from './control-api.js';
import { RequestError, type RequestIssues } from './request-error.js';

const text = field<string>('a text', (value) => typeof value === 'string' && value !== '');
const note = field<string>('a text of at most 1 000 characters', (value) => typeof value === 'string' && value.length <= 1_000);

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
});

const HOLD_SCHEMA = object({
  manager: v.optional(text),
  peer_ip: v.optional(addressField),
  seconds: integer(1, 86_400),
  reason: v.optional(note),
});
const RELEASE_SCHEMA = object({ manager: v.optional(text), peer_ip: v.optional(addressField) });

/** Routes of one manager. */
export interface RoutesRequest {
  readonly manager: string | undefined;
  readonly routes: readonly Registration[];
}

/** One route or an array of them. @throws RequestError 400, with every fault at once */
export function parseRoutes(body: unknown): RoutesRequest {
  const given: readonly unknown[] = Array.isArray(body) ? (body as unknown[]) : [body];
  if (given.length === 0) throw badRequest([{ path: '', message: 'Expected a route, or an array of at least one' }]);
  const issues: { path: string; message: string }[] = [];
  const managers = new Set<string | undefined>();
  const routes = given.flatMap((entry, index) => {
    const { output, issues: found } = parsed(ROUTE_SCHEMA, entry);
    issues.push(...found.map(({ path, message }) => ({ path: path === '' ? `${index}` : `${index}.${path}`, message })));
    if (found.length > 0) return [];
    managers.add(output.manager);
    return [toRegistration(output)];
  });
  if (managers.size > 1)
    issues.push({ path: '', message: 'Expected all routes of a request to name one manager, since all or none are changed' });
  if (issues.length > 0) throw badRequest(issues);
  return { manager: [...managers][0], routes };
}

/** @throws RequestError 400, with every fault at once */
export function parseHold(body: unknown): HoldRequest {
  return checked(HOLD_SCHEMA, body) as HoldRequest;
}

/** An empty object, or what a hold was for. @throws RequestError 400, with every fault at once */
export function parseRelease(body: unknown): ReleaseRequest {
  return checked(RELEASE_SCHEMA, body) as ReleaseRequest;
}

/** The number of an event. @throws RequestError 400 */
export function parseEventId(given: string | null | undefined): number | undefined {
  if (given === null || given === undefined || given === '') return undefined;
  const id = Number(given);
  if (/^\d+$/.test(given) && Number.isSafeInteger(id)) return id;
  throw badRequest([{ path: 'after', message: expected('after', 'the number of an event', given) }]);
}

type RouteFields = v.InferOutput<typeof ROUTE_SCHEMA>;

function toRegistration({ iface, dst, next_hop, src, table, route_protocol, priority, ...rest }: RouteFields): Registration {
  const route = {
    table: table ?? DEFAULT_TABLE,
    dst,
    nextHop: canonicalAddress(next_hop) ?? next_hop,
    src: canonicalAddress(src) ?? src,
    protocol: route_protocol ?? DEFAULT_ROUTE_PROTOCOL,
    ...(priority === undefined ? {} : { priority }),
  };
  const { peer_ip, port, tx_min_ms, rx_min_ms, detect_mult, multihop } = rest;
  const options = { peerIP: peer_ip, port, txMin: tx_min_ms, rxMin: rx_min_ms, detectMult: detect_mult, multihop };
  return { route, iface, ...definedOf(options) };
}

function checked<T extends v.ObjectEntries>(schema: ReturnType<typeof object<T>>, body: unknown): v.InferOutput<typeof schema> {
  const { output, issues } = parsed(schema, body);
  if (issues.length > 0) throw badRequest(issues);
  return output;
}

function badRequest(issues: RequestIssues): RequestError {
  return new RequestError(400, 'ERR_BAD_REQUEST', issues.map(({ message }) => message).join('; '), { issues });
}
