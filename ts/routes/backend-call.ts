/** One call to a backend: its operation, its answer, and which calls must not overlap. */
import { codeOf, LivenessError, toError } from '../base/errors.js';
import type { PlacedRoute, RouteReaderWriter } from './reader-writer.js';
import { formatRoute } from '../base/route.js';
import type { Listings } from './listings.js';
import { isSamePlace } from './same-place.js';

/** What a call does. `previous` is the route that a replacement deletes. */
export interface BackendOperation {
  readonly kind: 'add' | 'delete' | 'replace' | 'look';
  readonly placed: PlacedRoute;
  readonly previous?: PlacedRoute;
}

/** A call without an answer so far. */
export interface BackendCall {
  readonly operation: BackendOperation;
  /** A conflicting call was pending at the same time: it is unknown which one took effect last. */
  overlapped: boolean;
}

/** The outcome of a call. */
export interface BackendAnswer {
  readonly error: Error | undefined;
  readonly value: unknown;
}

/** Errors after which the backend has certainly changed nothing. After any other error it may have made the change. */
const CODES_WITHOUT_EFFECT = new Set([
  'ERR_INVALID_ROUTE',
  'ERR_ROUTE_CONFLICT',
  'EACCES',
  'EHOSTUNREACH',
  'EINVAL',
  'ENETDOWN',
  'ENETUNREACH',
  'ENODEV',
  'EPERM',
]);

/** Calls the backend. A synchronous exception becomes a rejection. */
export async function callBackend(
  { backend, listings }: { backend: RouteReaderWriter; listings: Listings },
  { kind, placed, previous }: BackendOperation,
): Promise<unknown> {
  const { route, iface } = placed;
  if (kind === 'add') return backend.routeAdd(route, iface);
  if (kind === 'delete') return backend.routeDelete(route, iface);
  if (kind === 'look') return listings.holds(placed);
  return previous === undefined ? undefined : backend.routeReplace?.(previous, placed);
}

/** Whether the order in which two calls take effect matters. */
export function conflicts(left: BackendOperation, right: BackendOperation): boolean {
  return left.kind !== right.kind || !isSamePlace(left.placed, right.placed);
}

/** Whether a call that failed has certainly changed nothing. */
export function hadNoEffect(error: Error): boolean {
  return CODES_WITHOUT_EFFECT.has(codeOf(error) ?? '');
}

/** The outcome of a call as a promise that never rejects. */
export function answerOf(call: Promise<unknown>): Promise<BackendAnswer> {
  return call.then(
    (value) => ({ error: undefined, value }),
    (thrown: unknown) => ({ error: toError(thrown), value: undefined }),
  );
}

export function timeoutError({ kind, placed }: BackendOperation, milliseconds: number): Error {
  const what = { add: 'adding', delete: 'deleting', replace: 'replacing', look: 'looking for' }[kind];
  const message = `The backend did not answer within ${milliseconds} ms when ${what} ${formatRoute(placed.route)}`;
  return new LivenessError('ERR_ROUTE_BACKEND', message);
}
