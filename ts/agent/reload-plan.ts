/** What a reload does to a manager: the difference between what it has and what it is to have. */
import { formatSlot } from '../base/route.js';
import type { Peer, RegisterSessionOptions, Registration, RouteRef } from '../index.js';
import type { ManagerSettings } from './config/manager-section.js';
import { type ConfiguredRoute, type ConfiguredSession, differingOptions, sessionKey } from './config/registrations.js';

/** The routes and sessions of a manager. */
export type Wanted = Pick<ManagerSettings, 'routes' | 'sessions'>;

/** The steps of a reload, in their order. What stays as it is is in none of them. */
export interface ReloadPlan {
  /** What has to go first: it has a slot that another registration takes, or shares a session whose options change. */
  readonly first: Withdrawals;
  /** All in one call. */
  readonly routes: readonly ConfiguredRoute[];
  readonly sessions: readonly ConfiguredSession[];
  readonly last: Withdrawals;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
}

export interface Withdrawals {
  readonly routes: readonly RouteRef[];
  readonly sessions: readonly Peer[];
}

export function planReload(from: Wanted, to: Wanted): ReloadPlan {
  const routes = compared(from.routes, to.routes, slotOf, isSameRoute);
  const sessions = compared(from.sessions, to.sessions, peerOf, isSameSession);
  const changing = changingSessions(from, to);
  const isShared = sharedSessions(from, to);
  const isMoved = ({ before, after }: Pair<ConfiguredRoute>): boolean => {
    const [left, right] = [before.registration, after.registration];
    return left.iface !== right.iface || left.route.protocol !== right.route.protocol;
  };
  const goesFirst = (entry: { readonly peer: Peer }): boolean => changing.has(sessionKey(entry.peer));
  const refs = (gone: readonly ConfiguredRoute[]): RouteRef[] => gone.map(refOf);
  const moved = routes.changed.filter(isMoved).map(({ before }) => before);
  // A session of its own whose options change is registered again after the routes that share it.
  const released = sessions.changed.filter(({ before }) => isShared(before.peer)).map(({ before }) => before);
  return {
    first: {
      routes: refs([...moved, ...routes.removed.filter(goesFirst)]),
      sessions: [...released, ...sessions.removed.filter(goesFirst)].map(({ peer }) => peer),
    },
    routes: [...routes.added, ...routes.changed.map(({ after }) => after)],
    sessions: [...sessions.added, ...sessions.changed.map(({ after }) => after)],
    last: {
      routes: refs(routes.removed.filter((route) => !goesFirst(route))),
      sessions: sessions.removed.filter((session) => !goesFirst(session)).map(({ peer }) => peer),
    },
    added: routes.added.length + sessions.added.length,
    removed: routes.removed.length + sessions.removed.length,
    changed: routes.changed.length + sessions.changed.length,
  };
}

/** Withdrawals of a plan have a route as it was registered. */
export function refOf({ registration }: ConfiguredRoute): RouteRef {
  return { route: registration.route, iface: registration.iface };
}

export function slotOf({ registration }: Pick<ConfiguredRoute, 'registration'>): string {
  return formatSlot(registration.route);
}

interface Pair<T> {
  readonly before: T;
  readonly after: T;
}

interface Comparison<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly Pair<T>[];
}

function compared<T>(
  from: readonly T[],
  to: readonly T[],
  keyOf: (entry: T) => string,
  isSame: (left: T, right: T) => boolean,
): Comparison<T> {
  const before = new Map(from.map((entry) => [keyOf(entry), entry]));
  const kept = new Set<string>();
  const added: T[] = [];
  const changed: Pair<T>[] = [];
  for (const after of to) {
    const key = keyOf(after);
    const known = before.get(key);
    kept.add(key);
    if (known === undefined) added.push(after);
    else if (!isSame(known, after)) changed.push({ before: known, after });
  }
  return { added, changed, removed: from.filter((entry) => !kept.has(keyOf(entry))) };
}

const peerOf = ({ peer }: ConfiguredSession): string => sessionKey(peer);

function isSameRoute({ registration: left, peer }: ConfiguredRoute, { registration: right, peer: other }: ConfiguredRoute): boolean {
  const [one, two] = [left.route, right.route];
  const names = ['nextHop', 'src', 'protocol', 'priority', 'noUninstall'] as const;
  if (names.some((name) => one[name] !== two[name])) return false;
  const legs = ['nextHop', 'iface', 'peerIP', 'localIP'] as const;
  if (legs.some((name) => left.backup?.[name] !== right.backup?.[name])) return false;
  return sessionKey(peer) === sessionKey(other) && differingOptions(left, right).length === 0;
}

function isSameSession(left: ConfiguredSession, right: ConfiguredSession): boolean {
  return differingOptions(left.options, right.options).length === 0;
}

/** The sessions that are there before and after, with other options. */
function changingSessions(from: Wanted, to: Wanted): ReadonlySet<string> {
  const before = optionsBySession(from);
  const changing = new Set<string>();
  for (const [key, options] of optionsBySession(to)) {
    const known = before.get(key);
    if (known !== undefined && differingOptions(known, options).length > 0) changing.add(key);
  }
  return changing;
}

/** The options of all sessions, with and without routes. */
export function optionsBySession({ routes, sessions }: Wanted): Map<string, Registration | RegisterSessionOptions> {
  const entries = routes.map(({ peer, registration }) => [sessionKey(peer), registration] as const);
  return new Map<string, Registration | RegisterSessionOptions>([
    ...entries,
    ...sessions.map(({ peer, options }) => [sessionKey(peer), options] as const),
  ]);
}

/** Whether a session has routes, before or after. */
function sharedSessions(from: Wanted, to: Wanted): (peer: Peer) => boolean {
  const keys = new Set([...from.routes, ...to.routes].map(({ peer }) => sessionKey(peer)));
  return (peer) => keys.has(sessionKey(peer));
}
