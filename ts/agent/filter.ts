/** Which sessions and routes a caller asks for. */
import { BlockList } from 'node:net';

import { canonicalAddress, familyOf, type Prefix } from '../base/address.js';
import { expected } from '../base/errors.js';
import { didYouMean } from '../base/nearest-name.js';
import { parseDestination } from '../base/route.js';
import { State } from '../index.js';
import type { RouteJson, SessionJson } from './control-api.js';
import { RequestError, type RequestIssues } from './request-error.js';

const NAMES = ['manager', 'state', 'peer', 'prefix'] as const;

const STATES: readonly string[] = Object.values(State);

/** `undefined` where nothing is filtered. */
export type Filter = { holds(view: SessionJson | RouteJson): boolean } | undefined;

/** @throws RequestError 400, with every fault at once; 404 for a manager that is not there */
export function parseFilter(query: URLSearchParams, managers: readonly string[]): Filter {
  const issues = [...query.keys()]
    .filter((name) => !(NAMES as readonly string[]).includes(name))
    .map((name) => ({ path: name, message: `Unknown filter \`${name}\`${didYouMean(name, NAMES)}; the filters are ${NAMES.join(', ')}` }));
  const states = new Set(query.getAll('state'));
  const manager = query.get('manager');
  const peer = query.get('peer');
  const prefix = query.get('prefix');
  const address = peer === null ? undefined : canonicalAddress(peer);
  const parts = prefix === null ? undefined : parseDestination(prefix);
  for (const state of states) if (!STATES.includes(state)) issues.push(issue('state', `one of ${STATES.join(', ')}`, state));
  if (peer !== null && address === undefined) issues.push(issue('peer', 'an IPv4 or IPv6 address', peer));
  if (prefix !== null && parts === undefined) issues.push(issue('prefix', 'a prefix such as 10.9.0.0/16', prefix));
  if (issues.length > 0) throw new RequestError(400, 'ERR_BAD_REQUEST', issues.map(({ message }) => message).join('; '), { issues });
  if (manager !== null && !managers.includes(manager)) throw noSuchManager(manager, managers);
  if (query.size === 0) return undefined;
  const isWithin = parts === undefined ? undefined : within(parts);
  return {
    holds: (view) =>
      (manager === null || view.manager === manager) &&
      (states.size === 0 || states.has(view.liveness_status)) &&
      (address === undefined || view.peer_ip === address) &&
      (isWithin === undefined || destinationsOf(view).some(isWithin)),
  };
}

export function noSuchManager(name: string, managers: readonly string[]): RequestError {
  const message = `There is no manager \`${name}\`${didYouMean(name, managers)}; the managers are ${managers.join(', ')}`;
  return new RequestError(404, 'ERR_NO_SUCH_MANAGER', message);
}

function issue(path: string, what: string, got: string): RequestIssues[number] {
  return { path, message: expected(path, what, got) };
}

function destinationsOf(view: SessionJson | RouteJson): readonly string[] {
  return 'dst' in view ? [view.dst] : view.routes;
}

/** Whether a destination is a prefix, or a part of it. */
function within({ address, length }: Prefix): (dst: string) => boolean {
  const family = familyOf(address);
  const list = new BlockList();
  list.addSubnet(address, length, family === 'IPv4' ? 'ipv4' : 'ipv6');
  return (dst) => {
    const parts = parseDestination(dst);
    if (parts === undefined || familyOf(parts.address) !== family || parts.length < length) return false;
    return list.check(parts.address, family === 'IPv4' ? 'ipv4' : 'ipv6');
  };
}
