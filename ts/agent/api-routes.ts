/** The routes that a manager has from the control API. */
import { ConfigError, type ConfigIssue } from '../base/errors.js';
import { readGuarded } from '../base/guard.js';
import { formatSlot, parseRoute, peerOf } from '../base/route.js';
import type { AuthOptions, Peer, Registration, ResolvedConfig } from '../index.js';
import { parseBackup } from '../manager/backup-options.js';
import { validateRegisterOptions } from '../manager/register-options.js';
import { haveSameKeys } from './config/registrations.js';
import { RequestError } from './request-error.js';
import { asRequestIssue, type RequestedRoute } from './route-request.js';

/** A route of the API, with all its options. */
interface ApiRoute {
  readonly registration: Registration;
  readonly authGroup: string | undefined;
}

export class ApiRoutes {
  readonly #bySlot = new Map<string, ApiRoute>();

  get size(): number {
    return this.#bySlot.size;
  }

  has(slot: string): boolean {
    return this.#bySlot.has(slot);
  }

  get(slot: string): Registration | undefined {
    return this.#bySlot.get(slot)?.registration;
  }

  /** By slot. */
  *[Symbol.iterator](): Iterator<readonly [string, Registration]> {
    for (const [slot, { registration }] of this.#bySlot) yield [slot, registration];
  }

  set(registration: Registration, authGroup: string | undefined): void {
    this.#bySlot.set(formatSlot(registration.route), { registration, authGroup });
  }

  delete(slot: string): void {
    this.#bySlot.delete(slot);
  }

  /** Those that name a group whose keys are others now, with these. A group that the file no longer has leaves its keys. */
  withChangedKeys(groups: ReadonlyMap<string, AuthOptions>): RequestedRoute[] {
    return [...this.#bySlot.values()].flatMap(({ registration, authGroup }) => {
      const auth = authGroup === undefined ? undefined : groups.get(authGroup);
      if (auth === undefined || haveSameKeys(auth, registration.auth)) return [];
      return [{ manager: undefined, registration: { ...registration, auth }, authGroup }];
    });
  }
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
