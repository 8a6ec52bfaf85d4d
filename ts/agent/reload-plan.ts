/** What a reload does to a manager: the difference between what it has and what it is to have. */
import { formatSlot } from '../base/route.js';
import type { Peer, RegisterSessionOptions, Registration, RouteRef } from '../index.js';
import { parseBackup } from '../manager/backup-options.js';
import { type ConfiguredRoute, type ConfiguredSession, differingOptions, sessionKey } from './config/registrations.js';

/** A route of the file, or one of the API, which has no place in the file. */
export interface WantedRoute extends Omit<ConfiguredRoute, 'path'> {
  readonly path: ConfiguredRoute['path'] | undefined;
}

/** The routes and sessions of a manager. */
export interface Wanted {
  readonly routes: readonly WantedRoute[];
  readonly sessions: readonly ConfiguredSession[];
}

/** The steps of a reload. What stays as it is is in none of them. */
export interface ReloadPlan {
  /** What has to go first: it has a slot that another registration takes, or shares a session whose options change. */
  readonly first: Withdrawals;
  /** All in one call, with the sessions: what shares a session changes with it. */
  readonly routes: readonly WantedRoute[];
  readonly sessions: readonly ConfiguredSession[];
  readonly last: Withdrawals;
  /** The numbers of routes and sessions of the file, without those of the API. */
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
}

export interface Withdrawals {
  readonly routes: readonly RouteRef[];
  readonly sessions: readonly Peer[];
}

export function planReload(from: Wanted, to: Wanted): ReloadPlan {
  const restarts = usersOf(restartingSessions(from, to));
  const isKept = (before: WantedRoute, after: WantedRoute): boolean => {
    return isSameRoute(before, after) && !restarts(before) && !restarts(after);
  };
  const routes = compared(from.routes, to.routes, slotOf, isKept);
  const sessions = compared(from.sessions, to.sessions, peerOf, isSameSession);
  const changing = changingSessions(from, to);
  const goesFirst = (entry: { readonly peer: Peer }): boolean => changing.has(sessionKey(entry.peer)) || restarts(entry);
  const refs = (gone: readonly WantedRoute[]): RouteRef[] => gone.map(refOf);
  const moved = routes.changed.filter((pair) => isMoved(pair) || restarts(pair.before) || restarts(pair.after)).map(({ before }) => before);
  const ended = sessions.changed.filter(({ before }) => restarts(before)).map(({ before }) => before);
  // A slot that the file takes from the API is one more of the file.
  const taken = routes.changed.filter(({ before, after }) => before.path === undefined && after.path !== undefined);
  return {
    first: {
      routes: refs([...moved, ...routes.removed.filter(goesFirst)]),
      sessions: [...ended, ...sessions.removed.filter(goesFirst)].map(({ peer }) => peer),
    },
    routes: [...routes.added, ...routes.changed.map(({ after }) => after)],
    sessions: [...sessions.added, ...sessions.changed.map(({ after }) => after)],
    last: {
      routes: refs(routes.removed.filter((route) => !goesFirst(route))),
      sessions: sessions.removed.filter((session) => !goesFirst(session)).map(({ peer }) => peer),
    },
    added: routes.added.length + taken.length + sessions.added.length,
    removed: routes.removed.length + sessions.removed.length,
    changed: routes.changed.filter(isOfFile).length + sessions.changed.length,
  };
}

/** Withdrawals of a plan have a route as it was registered. */
export function refOf({ registration }: Pick<WantedRoute, 'registration'>): RouteRef {
  return { route: registration.route, iface: registration.iface };
}

export function slotOf({ registration }: Pick<WantedRoute, 'registration'>): string {
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

function isOfFile({ before, after }: Pair<WantedRoute>): boolean {
  return before.path !== undefined && after.path !== undefined;
}

/** Whether a slot of the file goes to a route that cannot be registered in place. One of the API keeps its slot until it is deleted. */
function isMoved(pair: Pair<WantedRoute>): boolean {
  const [left, right] = [pair.before.registration, pair.after.registration];
  return isOfFile(pair) && (left.iface !== right.iface || left.route.protocol !== right.route.protocol);
}

function isSameRoute(before: WantedRoute, after: WantedRoute): boolean {
  const { registration: left, peer } = before;
  const { registration: right, peer: other } = after;
  if ((before.path === undefined) !== (after.path === undefined)) return false;
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

/** The sessions that become multihop, or single-hop again: they end before they are registered anew. */
function restartingSessions(from: Wanted, to: Wanted): ReadonlySet<string> {
  const before = multihopBySession(from);
  const after = multihopBySession(to);
  return new Set([...after].flatMap(([key, multihop]) => ((before.get(key) ?? multihop) === multihop ? [] : [key])));
}

/** A session that only watches a backup has the manager's options, and so one hop. */
function multihopBySession(wanted: Wanted): Map<string, boolean> {
  const watchers = wanted.routes.flatMap((route) => watcherOf(route) ?? []);
  const known = new Map(watchers.map((peer) => [sessionKey(peer), false]));
  for (const [key, { multihop = false }] of optionsBySession(wanted)) known.set(key, multihop);
  return known;
}

/** Whether a registration needs one of the sessions, for itself or to watch its backup. */
function usersOf(keys: ReadonlySet<string>): (entry: { readonly peer: Peer; readonly registration?: Registration }) => boolean {
  if (keys.size === 0) return () => false;
  return ({ peer, registration }) => {
    const watcher = registration && watcherOf({ registration, peer });
    return keys.has(sessionKey(peer)) || (watcher !== undefined && keys.has(sessionKey(watcher)));
  };
}

/** The peer that watches the backup of a valid route. */
function watcherOf({ registration: { backup, route }, peer }: Pick<WantedRoute, 'registration' | 'peer'>): Peer | undefined {
  return backup?.peerIP === undefined ? undefined : parseBackup(backup, route, peer).peer;
}

/** The options of all sessions, with and without routes. */
export function optionsBySession({ routes, sessions }: Wanted): Map<string, Registration | RegisterSessionOptions> {
  const entries = routes.map(({ peer, registration }) => [sessionKey(peer), registration] as const);
  return new Map<string, Registration | RegisterSessionOptions>([
    ...entries,
    ...sessions.map(({ peer, options }) => [sessionKey(peer), options] as const),
  ]);
}
