/** The bodies of requests to the control API. */
import * as v from 'valibot';

import { expected } from '../base/errors.js';
import { addressField, field, integer, object, parsed } from '../base/fields.js';
import type { HoldRequest, ReleaseRequest } from './control-api.js';
import { RequestError, type RequestIssues } from './request-error.js';
import { parseRouteRequest, type RequestedRoute } from './route-request.js';

const text = field<string>('a text', (value) => typeof value === 'string' && value !== '');
const note = field<string>('a text of at most 1 000 characters', (value) => typeof value === 'string' && value.length <= 1_000);

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
  readonly routes: readonly RequestedRoute[];
}

/** One route or an array of them. @throws RequestError 400, with every fault at once */
export function parseRoutes(body: unknown): RoutesRequest {
  const given: readonly unknown[] = Array.isArray(body) ? (body as unknown[]) : [body];
  if (given.length === 0) throw badRequest([{ path: '', message: 'Expected a route, or an array of at least one' }]);
  const issues: { path: string; message: string }[] = [];
  const managers = new Set<string | undefined>();
  const routes = given.flatMap((entry, index) => {
    const { route, issues: found } = parseRouteRequest(entry);
    issues.push(...found.map(({ path, message }) => ({ path: path === '' ? `${index}` : `${index}.${path}`, message })));
    if (route === undefined) return [];
    managers.add(route.manager);
    return [route];
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

function checked<T extends v.ObjectEntries>(schema: ReturnType<typeof object<T>>, body: unknown): v.InferOutput<typeof schema> {
  const { output, issues } = parsed(schema, body);
  if (issues.length > 0) throw badRequest(issues);
  return output;
}

function badRequest(issues: RequestIssues): RequestError {
  return new RequestError(400, 'ERR_BAD_REQUEST', issues.map(({ message }) => message).join('; '), { issues });
}
