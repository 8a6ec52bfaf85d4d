/** The routes that a manager has from the control API. */
import { ConfigError, type ConfigIssue } from '../base/errors.js';
import { definedOf } from '../base/fields.js';
import { readGuarded } from '../base/guard.js';
import { formatSlot, parseRoute, peerOf } from '../base/route.js';
import type { AuthOptions, Peer, RegisterSessionOptions, Registration, ResolvedConfig } from '../index.js';
import { parseBackup } from '../manager/backup-options.js';
import { validateRegisterOptions } from '../manager/register-options.js';
import type { ManagerSettings } from './config/manager-section.js';
import { haveSameKeys, sessionKey } from './config/registrations.js';
import { optionsBySession, slotOf, type WantedRoute } from './reload-plan.js';
import { RequestError } from './request-error.js';
import { asRequestIssue, type RequestedRoute } from './route-request.js';

/** A route of the API, with all its options. */
interface ApiRoute extends WantedRoute {
  readonly path: undefined;
  /** The group of keys that its request names. */
  readonly authGroup: string | undefined;
}

/** What the routes of the API become by a reload. */
export interface ReloadedApiRoutes {
  readonly routes: readonly ApiRoute[];
  /** The sessions that keep their keys, since their routes name groups that no longer agree. */
  readonly disputed: readonly Peer[];
}

export class ApiRoutes {
  #bySlot = new Map<string, ApiRoute>();

  get size(): number {
    return this.#bySlot.size;
  }

  get all(): readonly WantedRoute[] {
    return [...this.#bySlot.values()];
  }

  has(slot: string): boolean {
    return this.#bySlot.has(slot);
  }

  /** Adds a route that is registered. */
  set(registration: Registration, authGroup: string | undefined): void {
    const peer = peerOfRegistration(registration);
    const route = parseRoute(registration.route);
    this.#bySlot.set(formatSlot(route), { registration: { ...registration, route }, peer, path: undefined, place: undefined, authGroup });
  }

  /** Forgets those whose slots are not among the given ones. */
  retain(slots: ReadonlySet<string>): void {
    for (const slot of [...this.#bySlot.keys()]) if (!slots.has(slot)) this.#bySlot.delete(slot);
  }

  /**
   * What they are to be with other settings. A session has one set of options: the file's where the file has the session. Where it
   * does not, the session keeps its options, but for the keys of a group that a route names.
   */
  reloaded(settings: FileRegistrations): ReloadedApiRoutes {
    const fileSlots = new Set(settings.routes.map(slotOf));
    const fileOptions = optionsBySession(settings);
    const left = [...this.#bySlot].flatMap(([slot, route]) => (fileSlots.has(slot) ? [] : [route]));
    const { keys, disputed } = keysBySession(left, settings.auth, fileOptions);
    const routes = left.map((route) => {
      const { registration } = route;
      const key = sessionKey(route.peer);
      const owner = fileOptions.get(key);
      if (owner !== undefined) return { ...route, registration: withOptions(registration, owner) };
      const auth = keys.get(key);
      return auth === undefined || haveSameKeys(auth, registration.auth) ? route : { ...route, registration: { ...registration, auth } };
    });
    return { routes, disputed };
  }

  /** After a reload: these and no others. */
  replace({ routes }: ReloadedApiRoutes): void {
    this.#bySlot = new Map(routes.map((route) => [slotOf(route), route]));
  }
}

/** What the file says of a manager, as far as routes of the API depend on it. */
export type FileRegistrations = Pick<ManagerSettings, 'routes' | 'sessions' | 'auth'>;

/** The keys of the groups that routes name, of the sessions that the file does not have. A group that is gone leaves its keys. */
function keysBySession(
  routes: readonly ApiRoute[],
  groups: ReadonlyMap<string, AuthOptions>,
  fileOptions: ReadonlyMap<string, unknown>,
): { keys: ReadonlyMap<string, AuthOptions>; disputed: readonly Peer[] } {
  const keys = new Map<string, AuthOptions>();
  const disputed = new Map<string, Peer>();
  for (const { peer, authGroup } of routes) {
    const key = sessionKey(peer);
    const auth = authGroup === undefined || fileOptions.has(key) ? undefined : groups.get(authGroup);
    if (auth === undefined) continue;
    if (haveSameKeys(keys.get(key) ?? auth, auth)) keys.set(key, auth);
    else disputed.set(key, peer);
  }
  for (const key of disputed.keys()) keys.delete(key);
  return { keys, disputed: [...disputed.values()] };
}

/** A registration with the options of another one of its session. Peer and backup are the route's own. */
function withOptions({ route, iface, peerIP, backup }: Registration, owner: Registration | RegisterSessionOptions): Registration {
  return { ...sessionOptionsOf(owner), route, iface, ...definedOf({ peerIP, backup }) };
}

/** The options that belong to the session. */
export function sessionOptionsOf(options: Registration | RegisterSessionOptions): RegisterSessionOptions {
  const { port, holdUp, damping, multihop, passive, minTtl, auth, onPeerAdminDown, txMin, rxMin, detectMult } = options;
  return definedOf({ port, holdUp, damping, multihop, passive, minTtl, auth, onPeerAdminDown, txMin, rxMin, detectMult });
}

/** The session of a valid registration. @throws LivenessError `ERR_INVALID_ROUTE` */
export function peerOfRegistration({ route: given, iface, peerIP }: Registration): Peer {
  const route = parseRoute(given);
  return { iface, localIP: route.src, peerIP: peerOf(route, peerIP) };
}

/** The keys of the group that a request names. @throws RequestError 400, which does not show what was given: it may be a key */
export function requestedKeys(requested: readonly RequestedRoute[], groups: ReadonlyMap<string, AuthOptions>): (AuthOptions | undefined)[] {
  const names = [...groups.keys()];
  const known = names.length === 0 ? 'there is none' : names.join(', ');
  const issues = requested.flatMap(({ authGroup }, index) => {
    if (authGroup === undefined || groups.has(authGroup)) return [];
    const message = `Expected \`auth\` to be the name of a group of \`auth\` in the configuration file (${known}), or an object with type and keys`;
    return [{ path: `${index}.auth`, message }];
  });
  if (issues.length > 0) throw new RequestError(400, 'ERR_CONFIG', issues[0]?.message ?? '', { issues });
  return requested.map(({ authGroup, registration }) => (authGroup === undefined ? registration.auth : groups.get(authGroup)));
}

/** Judges the options as those of the file are judged. @throws RequestError 400 `ERR_CONFIG`, with the field of each fault */
export function checkOptions(registrations: readonly Registration[], resolved: ResolvedConfig): void {
  const issues = registrations.flatMap((registration, index) =>
    issuesOf(registration, resolved).map((issue) => asRequestIssue(index, issue)),
  );
  if (issues.length > 0) throw new RequestError(400, 'ERR_CONFIG', issues.map(({ message }) => message).join('; '), { issues });
}

function issuesOf({ route: given, iface, ...options }: Registration, resolved: ResolvedConfig): readonly ConfigIssue[] {
  const faultsOf = (check: () => unknown): readonly ConfigIssue[] => {
    try {
      check();
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.issues;
      throw error;
    }
  };
  const found = faultsOf(() => validateRegisterOptions(options, resolved));
  const { backup } = options;
  // The manager refuses a wrong route, and says why.
  const route = readGuarded(() => parseRoute(given), undefined);
  if (backup === undefined || route === undefined || found.length > 0) return found;
  const peer = readGuarded<Peer | undefined>(() => ({ iface, localIP: route.src, peerIP: peerOf(route, options.peerIP) }), undefined);
  return peer === undefined ? [] : faultsOf(() => parseBackup(backup, route, peer));
}
