/** The section `managers`: each manager with its routes and sessions. */
import { normalize } from 'node:path';

import * as v from 'valibot';

import { ConfigError } from '../../base/errors.js';
import { choice, definedOf, field, flag, integer, object } from '../../base/fields.js';
import { formatSlot } from '../../base/route.js';
import { type AuthOptions, type ManagerConfig, MemoryRoutes, type ResolvedConfig, type RouteFilter, validateConfig } from '../../index.js';
import { maxSessions } from '../../manager/registration-plan.js';
import type { AuthGroups } from './auth-groups.js';
import type { Issues } from './issues.js';
import { type ConfiguredRoute, type ConfiguredSession, RegistrationReader, type RegistrationContext, sessionKey } from './registrations.js';
import { checkedSection, listOf } from './section.js';
import { formatPath, type PartPath } from './source-file.js';
import { type TimerGroups, type Timers } from './timer-groups.js';

/** The fields of `ManagerConfig` that are set elsewhere in the file, or that only a program can set. */
type Elsewhere =
  'netlinker' | 'udp' | 'logger' | 'metricsRegistry' | 'metricsPrefix' | 'enablePeerMetrics' | 'txMin' | 'rxMin' | 'detectMult';

/** What `validateConfig` judges. */
const ANYTHING = v.optional(v.unknown());

/** All other fields of `ManagerConfig`: a file sets them as they are. */
const PASSED = {
  bindIP: ANYTHING,
  protocol: ANYTHING,
  port: ANYTHING,
  multihopPort: ANYTHING,
  passiveMode: ANYTHING,
  minTxFloor: ANYTHING,
  maxTxCeil: ANYTHING,
  backoffMax: ANYTHING,
  maxEvents: ANYTHING,
  clientVersion: ANYTHING,
  honorPeerAdvertisedPassive: ANYTHING,
  onPeerAdminDown: ANYTHING,
  requireDiscriminator: ANYTHING,
  filterRepeats: ANYTHING,
  holdUp: ANYTHING,
  damping: ANYTHING,
  minTtl: ANYTHING,
  routeTimeout: ANYTHING,
  onClose: ANYTHING,
  resume: ANYTHING,
  massDown: ANYTHING,
  onFatal: ANYTHING,
  engine: ANYTHING,
  realtime: ANYTHING,
} satisfies Record<Exclude<keyof ManagerConfig, Elsewhere>, typeof ANYTHING>;

/** The options of a manager that the file decides. */
export type PassedConfig = Omit<ManagerConfig, 'netlinker' | 'logger' | 'metricsRegistry' | 'udp'>;

/** A manager as the file has it. */
export interface ManagerSettings {
  readonly name: string;
  readonly backend: 'netlink' | 'memory';
  readonly takeOver: boolean;
  readonly config: PassedConfig;
  readonly resolved: ResolvedConfig;
  /** Those of what names none. */
  readonly timers: Timers;
  /** The groups of keys of the file. */
  readonly auth: ReadonlyMap<string, AuthOptions>;
  /** What is adopted at the start. */
  readonly adopt: readonly RouteFilter[];
  readonly routes: readonly ConfiguredRoute[];
  readonly sessions: readonly ConfiguredSession[];
  readonly path: PartPath;
}

const SCHEMA = object({
  name: v.optional(
    field<string>('a name of letters, digits, `_`, `.` and `-`', (value) => typeof value === 'string' && /^[\w.-]{1,64}$/.test(value)),
  ),
  ...PASSED,
  backend: v.optional(choice(['netlink', 'memory'])),
  takeOver: v.optional(flag),
  timers: v.optional(v.unknown()),
  adopt: v.optional(v.unknown()),
  routes: v.optional(v.unknown()),
  sessions: v.optional(v.unknown()),
});

const ADOPT_SCHEMA = object({ protocol: integer(1, 255), table: v.optional(integer(1, 0xffff_ffff)) });

export interface SectionContext {
  readonly timers: TimerGroups;
  readonly auth: AuthGroups;
  readonly issues: Issues;
}

export class ManagerSections {
  readonly #context: SectionContext;
  readonly #names = new Map<string, PartPath>();
  /** The state files: two managers that share one would take the sessions away from each other. */
  readonly #stateFiles = new Map<string, PartPath>();
  /** The slots of the kernel's tables, which all managers with the backend `netlink` share. */
  readonly #kernelSlots = new Map<string, PartPath>();

  constructor(context: SectionContext) {
    this.#context = context;
  }

  read(given: readonly unknown[]): ManagerSettings[] {
    return given.flatMap((manager, index) => this.#manager(manager, ['managers', index]) ?? []);
  }

  #manager(given: unknown, path: PartPath): ManagerSettings | undefined {
    const { issues, timers: groups, auth } = this.#context;
    const section = checkedSection(SCHEMA, given, path, issues);
    const { backend = 'netlink', takeOver = false } = section;
    const passed = passedOf(section);
    const name = section.name ?? (passed['protocol'] === 'bfd' ? 'bfd' : 'liveness');
    this.#checkName(name, path);
    const resolved = this.#resolved(passed, path);
    if (resolved === undefined) return undefined;
    this.#checkStateFile(resolved.resume, path);
    const timers = groups.ofManager(section.timers, path, { bounds: resolved, manager: name });
    const slots = backend === 'netlink' ? this.#kernelSlots : new Map<string, PartPath>();
    const context = { ...this.#context, manager: name, resolved, timers, slotOf: formatSlot, slots } satisfies RegistrationContext;
    const reader = new RegistrationReader({ ...context, groups, auth });
    const routes = reader.routes(listOf(section.routes, [...path, 'routes'], issues), [...path, 'routes']);
    const sessions = reader.sessions(listOf(section.sessions, [...path, 'sessions'], issues), [...path, 'sessions']);
    this.#checkCount(routes, sessions, resolved, path);
    const adopt = listOf(section.adopt, [...path, 'adopt'], issues).flatMap((filter, index) =>
      this.#filter(filter, [...path, 'adopt', index]),
    );
    // Without timers there is a fault, and no configuration.
    if (timers === undefined) return undefined;
    const config = { ...passed, ...timers } as PassedConfig;
    return { name, backend, takeOver, config, resolved, timers, auth: auth.groups, adopt, routes, sessions, path };
  }

  /** The manager's options with the defaults. Wrong ones are reported, and replaced so that reading goes on. */
  #resolved(passed: Record<string, unknown>, path: PartPath): ResolvedConfig | undefined {
    const { issues } = this.#context;
    const config = (fields: Record<string, unknown>): ResolvedConfig => {
      return validateConfig({ netlinker: new MemoryRoutes(), ...timersWithin(fields), ...fields } as unknown as ManagerConfig);
    };
    try {
      return config(passed);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      issues.addAll(path, error.issues);
      const wrong = new Set(error.issues.map((issue) => issue.path.split('.')[0]));
      const rest = Object.fromEntries(Object.entries(passed).filter(([name]) => !wrong.has(name)));
      try {
        return config({ bindIP: ['0.0.0.0', '::'], ...rest });
      } catch {
        // The faults are reported; without the manager's options its routes cannot be judged.
        return undefined;
      }
    }
  }

  #checkName(name: string, path: PartPath): void {
    const { issues } = this.#context;
    const known = this.#names.get(name);
    if (known !== undefined)
      issues.add([...path, 'name'], `Expected \`name\` to be unique, got \`${name}\`, as ${formatPath(known)} has it`);
    else this.#names.set(name, path);
  }

  #checkStateFile(resume: string | undefined, path: PartPath): void {
    if (resume === undefined) return;
    const file = normalize(resume);
    const known = this.#stateFiles.get(file);
    if (known === undefined) this.#stateFiles.set(file, path);
    else {
      const message = `Expected \`resume\` to be a file of this manager alone, got \`${resume}\`, as ${formatPath(known)} has it`;
      this.#context.issues.add([...path, 'resume'], message);
    }
  }

  #checkCount(routes: readonly ConfiguredRoute[], sessions: readonly ConfiguredSession[], resolved: ResolvedConfig, path: PartPath): void {
    const count = new Set([...routes, ...sessions].map(({ peer }) => sessionKey(peer))).size;
    const limit = maxSessions(resolved);
    if (count <= limit) return;
    const message = `${count} sessions are more than ${limit}, half of \`maxEvents\` (${resolved.maxEvents}): set \`maxEvents\` to at least ${count * 2}`;
    this.#context.issues.add([...path, 'maxEvents'], message);
  }

  #filter(given: unknown, path: PartPath): RouteFilter[] {
    const { protocol, table = 254 } = checkedSection(ADOPT_SCHEMA, given, path, this.#context.issues);
    return protocol === undefined ? [] : [{ protocol, table }];
  }
}

function passedOf(section: Partial<Record<keyof typeof PASSED, unknown>>): Record<string, unknown> {
  const names = Object.keys(PASSED) as (keyof typeof PASSED)[];
  return definedOf(Object.fromEntries(names.map((name) => [name, section[name]])));
}

/** Timers that no bounds of a manager refuse: the groups are checked by themselves. */
function timersWithin({ minTxFloor, maxTxCeil }: Record<string, unknown>): Timers {
  const least = typeof minTxFloor === 'number' ? minTxFloor : undefined;
  const most = typeof maxTxCeil === 'number' ? maxTxCeil : undefined;
  const interval = least ?? Math.min(50, most ?? 50);
  return { txMin: interval, rxMin: interval, detectMult: 3 };
}
