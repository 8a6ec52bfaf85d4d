/** The routes and sessions of a manager in the file. */
import * as v from 'valibot';

import { familyOf, unicastAddress } from '../../base/address.js';
import { ConfigError, expected, messageOf } from '../../base/errors.js';
import { addressField, definedOf, field, flag, integer, object } from '../../base/fields.js';
import { formatPeer, isInterfaceName, parseDestination, parseRoute, peerOf } from '../../base/route.js';
import type {
  AuthOptions,
  BackupOptions,
  Peer,
  RegisterOptions,
  RegisterSessionOptions,
  Registration,
  ResolvedConfig,
  Route,
} from '../../index.js';
import { backupField, parseBackup, PASSIVE_BACKUP } from '../../manager/backup-options.js';
import { checkBound } from '../../manager/bound-addresses.js';
import { isSameDamping as isEqualDamping, toDamping } from '../../manager/damping-options.js';
import { SESSION_OPTION_ENTRIES, validateSessionOptions } from '../../manager/register-options.js';
import type { AuthGroups } from './auth-groups.js';
import type { Issues } from './issues.js';
import { checkedSection } from './section.js';
import { formatPath, type PartPath, type Place } from './source-file.js';
import type { TimerGroups, Timers } from './timer-groups.js';

/** The routing table of a route that names none: `main`. */
export const DEFAULT_TABLE = 254;

/** The protocol number of a route that names none: that of BGP, as in the documentation of the API. */
export const DEFAULT_ROUTE_PROTOCOL = 186;

/** A route of the file. */
export interface ConfiguredRoute {
  readonly registration: Registration;
  /** The session that it depends on. */
  readonly peer: Peer;
  readonly path: PartPath;
  readonly place: Place | undefined;
}

/** A session of the file, without a route. */
export interface ConfiguredSession {
  readonly peer: Peer;
  readonly options: RegisterSessionOptions;
  readonly path: PartPath;
  readonly place: Place | undefined;
}

const interfaceField = field<string>('the name of an interface, 1 to 15 characters', isInterfaceName);
const unicast = field<string>(
  'an IPv4 or IPv6 unicast address',
  (value) => typeof value === 'string' && unicastAddress(value) !== undefined,
);

const SESSION_ENTRIES = { timers: v.optional(v.unknown()), ...SESSION_OPTION_ENTRIES };

const ROUTE_SCHEMA = object({
  iface: interfaceField,
  dst: field<string>('a prefix like `10.9.0.7/32` or `2001:db8::/64`, without bits set beyond its length', (value) => {
    return typeof value === 'string' && parseDestination(value) !== undefined;
  }),
  src: unicast,
  nextHop: unicast,
  table: v.optional(integer(1, 0xffff_ffff)),
  protocol: v.optional(integer(1, 255)),
  priority: v.optional(integer(0, 0xffff_ffff)),
  noUninstall: v.optional(flag),
  peerIP: v.optional(unicast),
  backup: v.optional(backupField),
  ...SESSION_ENTRIES,
});

const SESSION_SCHEMA = object({ iface: interfaceField, localIP: addressField, peerIP: addressField, ...SESSION_ENTRIES });

export interface RegistrationContext {
  readonly manager: string;
  readonly resolved: ResolvedConfig;
  /** Those of the manager. */
  readonly timers: Timers | undefined;
  readonly issues: Issues;
  /** The slots that routes of the same backend have. */
  readonly slots: Map<string, PartPath>;
  readonly slotOf: (route: Route) => string;
}

export interface ReaderContext extends RegistrationContext {
  readonly groups: TimerGroups;
  readonly auth: AuthGroups;
}

/** The options of a session, by which sharing is judged. */
interface KnownSession {
  readonly options: RegisterSessionOptions;
  readonly path: PartPath;
}

export class RegistrationReader {
  readonly #context: ReaderContext;
  readonly #sessions = new Map<string, KnownSession>();

  constructor(context: ReaderContext) {
    this.#context = context;
  }

  routes(given: readonly unknown[], path: PartPath): ConfiguredRoute[] {
    return given.flatMap((route, index) => this.#route(route, [...path, index]) ?? []);
  }

  sessions(given: readonly unknown[], path: PartPath): ConfiguredSession[] {
    return given.flatMap((session, index) => this.#session(session, [...path, index]) ?? []);
  }

  #route(given: unknown, path: PartPath): ConfiguredRoute | undefined {
    const { issues } = this.#context;
    const section = checkedSection(ROUTE_SCHEMA, given, path, issues);
    const {
      iface,
      dst,
      src,
      nextHop,
      table = DEFAULT_TABLE,
      protocol = DEFAULT_ROUTE_PROTOCOL,
      priority,
      noUninstall,
      peerIP,
      backup,
    } = section;
    const options = this.#options(section, path);
    if (iface === undefined || dst === undefined || src === undefined || nextHop === undefined || options === undefined) return undefined;
    try {
      const route = parseRoute({ table, dst, src, nextHop, protocol, ...definedOf({ priority, noUninstall }) });
      const peer = { iface, localIP: route.src, peerIP: peerOf(route, peerIP) };
      if (peer.localIP === peer.peerIP) issues.add([...path, 'src'], expected('src', 'another address than the peer', src));
      this.#checkBound('src', route.src, path);
      if (backup !== undefined) this.#checkBackup(backup, route, peer, path);
      this.#checkSlot(route, path);
      this.#checkShared(peer, options, path);
      return {
        registration: { route, iface, peerIP: peer.peerIP, ...definedOf({ backup }), ...options },
        peer,
        path,
        place: issues.placeOf(path),
      };
    } catch (error) {
      // A fault of several fields together.
      issues.add(path, messageOf(error));
      return undefined;
    }
  }

  #session(given: unknown, path: PartPath): ConfiguredSession | undefined {
    const { issues } = this.#context;
    const section = checkedSection(SESSION_SCHEMA, given, path, issues);
    const { iface, localIP, peerIP } = section;
    const options = this.#options(section, path);
    if (iface === undefined || localIP === undefined || peerIP === undefined || options === undefined) return undefined;
    const peer = { iface, localIP, peerIP };
    const before = issues.found.length;
    if (familyOf(localIP) !== familyOf(peerIP)) {
      issues.add([...path, 'peerIP'], expected('peerIP', `an ${familyOf(localIP)} address, as \`localIP\` is one`, peerIP));
    } else if (localIP === peerIP) issues.add([...path, 'peerIP'], expected('peerIP', 'another address than `localIP`', peerIP));
    for (const name of ['localIP', 'peerIP'] as const) {
      if (unicastAddress(peer[name]) === undefined) issues.add([...path, name], expected(name, 'a unicast address', peer[name]));
    }
    this.#checkBound('localIP', localIP, path);
    if (issues.found.length > before) return undefined;
    this.#checkShared(peer, options, path);
    return { peer, options, path, place: issues.placeOf(path) };
  }

  /** The options of a session, its timers always among them, so that a reload sees every change. */
  #options(section: SessionSection, path: PartPath): RegisterSessionOptions | undefined {
    const { groups, auth, resolved, timers: inherited, manager, issues } = this.#context;
    const { port, holdUp, damping, multihop, passive, minTtl, onPeerAdminDown } = section;
    const timers = groups.of(section.timers, [...path, 'timers'], { bounds: resolved, manager, inherited });
    const keys = auth.of(section.auth, [...path, 'auth']);
    const own = definedOf({ port, holdUp, damping, multihop, passive, minTtl, onPeerAdminDown, auth: keys });
    try {
      validateSessionOptions(own, resolved);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      issues.addAll(path, error.issues);
      return undefined;
    }
    return timers === undefined ? undefined : { ...timers, ...own };
  }

  #checkBound(name: string, localIP: string, path: PartPath): void {
    try {
      checkBound(name, localIP, this.#context.resolved);
    } catch (error) {
      this.#context.issues.add([...path, name], messageOf(error));
    }
  }

  #checkBackup(backup: BackupOptions, route: Route, peer: Peer, path: PartPath): void {
    const { issues, resolved } = this.#context;
    if (resolved.passiveMode) issues.add([...path, 'backup'], PASSIVE_BACKUP);
    try {
      const { peer: watcher } = parseBackup(backup, route, peer);
      if (watcher !== undefined) this.#checkBound('backup.localIP', watcher.localIP, path);
    } catch (error) {
      issues.add([...path, 'backup'], messageOf(error));
    }
  }

  #checkSlot(route: Route, path: PartPath): void {
    const { slots, slotOf, issues } = this.#context;
    const slot = slotOf(route);
    const taken = slots.get(slot);
    if (taken === undefined) slots.set(slot, path);
    else issues.add(path, `The slot (${slot}) is that of ${this.#named(taken)}, too: the kernel has one route for it`);
  }

  /** Several routes to one peer share its session, which has one set of options. */
  #checkShared(peer: Peer, options: RegisterSessionOptions, path: PartPath): void {
    const key = sessionKey(peer);
    const known = this.#sessions.get(key);
    if (known === undefined) {
      this.#sessions.set(key, { options, path });
      return;
    }
    const differing = differingOptions(known.options, options);
    if (differing.length === 0) return;
    const message = `The session (${formatPeer(peer)}) is that of ${this.#named(known.path)}, too, which has another ${differing.join(', ')}`;
    this.#context.issues.add(path, message);
  }

  #named(path: PartPath): string {
    const place = this.#context.issues.placeOf(path);
    return place === undefined ? formatPath(path) : `${formatPath(path)} (line ${place.line})`;
  }
}

interface SessionSection extends Omit<RegisterOptions, 'auth' | 'peerIP' | 'backup'> {
  readonly timers?: unknown;
  readonly auth?: unknown;
}

/** A peer as a key of a map. */
export function sessionKey({ iface, localIP, peerIP }: Peer): string {
  return `${iface} ${localIP} ${peerIP}`;
}

const OPTIONS = ['txMin', 'rxMin', 'detectMult', 'port', 'holdUp', 'multihop', 'passive', 'minTtl', 'onPeerAdminDown'] as const;

/** The names of the options that two registrations differ in. */
export function differingOptions(left: RegisterSessionOptions, right: RegisterSessionOptions): string[] {
  const names: string[] = OPTIONS.filter((name) => left[name] !== right[name]);
  if (!isSameDamping(left.damping, right.damping)) names.push('damping');
  return haveSameKeys(left.auth, right.auth) ? names : [...names, 'auth'];
}

/** An option that is left out is the manager's, which may be another than the one that is written out. */
function isSameDamping(left: RegisterSessionOptions['damping'], right: RegisterSessionOptions['damping']): boolean {
  if (left === undefined || right === undefined) return left === right;
  return isEqualDamping(toDamping(left), toDamping(right));
}

export function haveSameKeys(left: AuthOptions | undefined, right: AuthOptions | undefined): boolean {
  if (left === undefined || right === undefined || left === right) return left === right;
  if (left.type !== right.type || left.keys.length !== right.keys.length) return false;
  return left.keys.every(({ id, key, variant = 'rfc' }, index) => {
    const other = right.keys[index];
    return other?.id === id && (other.variant ?? 'rfc') === variant && Buffer.compare(Buffer.from(other.key), Buffer.from(key)) === 0;
  });
}
