/** Calls to a backend: what they do, how they end, and which of them must not overlap. */
import { codeOf, LivenessError, toError } from '../base/errors.js';
import type { PlacedRoute, RouteReaderWriter } from './reader-writer.js';
import { formatRoute } from '../base/route.js';
import type { Listings } from './listings.js';
import { isSamePlace } from './slot-contents.js';

/** A call to the backend. A replacement names the route that it takes out, too. */
export interface Operation {
  readonly kind: 'add' | 'delete' | 'replace' | 'look';
  readonly placed: PlacedRoute;
  readonly former?: PlacedRoute;
}

/** A call that has not been answered. */
export interface Call {
  readonly operation: Operation;
  /** A call that may undo what this one does, or the reverse, was under way at the same time: nobody knows which came last. */
  overlapped: boolean;
}

/** How a call ended. */
export interface Answer {
  readonly error: Error | undefined;
  readonly value: unknown;
}

export const TIMED_OUT = Symbol('timed out');

/** Errors that say that nothing was done. After any other the backend may have done it all the same. */
const REFUSALS = new Set([
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

/** Calls the backend. It may throw at once, which is a rejection like any other. */
export async function callBackend(
  { backend, listings }: { backend: RouteReaderWriter; listings: Listings },
  { kind, placed, former }: Operation,
): Promise<unknown> {
  const { route, iface } = placed;
  if (kind === 'add') return backend.routeAdd(route, iface);
  if (kind === 'delete') return backend.routeDelete(route, iface);
  if (kind === 'look') return listings.holds(placed);
  return former === undefined ? undefined : backend.routeReplace?.(former, placed);
}

/** Whether the order in which two calls take effect matters. */
export function conflicts(one: Operation, other: Operation): boolean {
  return one.kind !== other.kind || !isSamePlace(one.placed, other.placed);
}

/** Whether a failed call has certainly changed nothing. */
export function isRefusal(error: Error): boolean {
  return REFUSALS.has(codeOf(error) ?? '');
}

/** How a call ends, however it does. */
export function answerOf(call: Promise<unknown>): Promise<Answer> {
  return call.then(
    (value) => ({ error: undefined, value }),
    (thrown: unknown) => ({ error: toError(thrown), value: undefined }),
  );
}

/** An answer, or that it did not come in time. */
export async function within(answer: Promise<Answer>, milliseconds: number): Promise<Answer | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(resolve, milliseconds, TIMED_OUT);
    timer.unref();
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function timeoutError({ kind, placed }: Operation, milliseconds: number): Error {
  const what = { add: 'adding', delete: 'deleting', replace: 'replacing', look: 'looking for' }[kind];
  const message = `The backend did not answer within ${milliseconds} ms when ${what} ${formatRoute(placed.route)}`;
  return new LivenessError('ERR_ROUTE_BACKEND', message);
}
