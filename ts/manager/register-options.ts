/** The options of a registration. */
import * as v from 'valibot';

import { ConfigError } from '../base/errors.js';
import { choice, duration, flag, integer, object, parsed } from '../base/fields.js';
import { MAX_INTERVAL, outsideIssues, type SessionTimerOptions } from '../base/intervals.js';
import type { SessionAuth } from '../protocol/bfd/options.js';
import { backupField, type BackupOptions, PASSIVE_BACKUP } from './backup-options.js';
import type { ResolvedConfig } from './config.js';
import { dampingField, dampingIssues, type DampingOptions, holdUpField } from './damping-options.js';
import { foreignOptionIssues } from './protocol-options.js';
import { type AuthOptions, parseAuth } from './session-auth.js';

/** The options of a session. Those from `multihop` on are of BFD alone. */
export interface RegisterSessionOptions extends SessionTimerOptions {
  /**
   * The peer's UDP port, 1 to 65 535. Default: the manager's own `port`, and with `multihop` its `multihopPort`; where that is 0,
   * the default port of the protocol.
   */
  port?: number | undefined;
  /** See the field of `ManagerConfig`, which is the default. */
  holdUp?: number | undefined;
  /** See the field of `ManagerConfig`, which is the default. */
  damping?: boolean | DampingOptions | undefined;
  /**
   * The peer is several hops away (RFC 5883). On the wire such a session has no interface: of one pair of addresses there is one.
   * Not with link-local addresses. Cannot be changed in place. Default: false.
   */
  multihop?: boolean | undefined;
  /**
   * Send nothing before the peer is heard: the passive role of RFC 5880 §6.1. One end has to be active: two passive ends never
   * meet, and no end can notice that. Default: false.
   */
  passive?: boolean | undefined;
  /**
   * Only with `multihop`: drop received packets with a lower TTL, 1 to 255. A path of up to n routers needs 255 - n. Needs the
   * native engine. Default: any TTL.
   */
  minTtl?: number | undefined;
  /** Sign packets and accept only signed ones (RFC 5880 §6.7). Other keys take effect in place. Default: no authentication. */
  auth?: AuthOptions | undefined;
  /** See the field of `ManagerConfig`, which is the default. */
  onPeerAdminDown?: 'withdraw' | 'keep' | undefined;
}

/** The options of a registration of a route. */
export interface RegisterOptions extends RegisterSessionOptions {
  /** The peer's address, of the route's family. Default: the destination of the route, which must be a /32, or a /128 of IPv6. */
  peerIP?: string | undefined;
  /**
   * Where the route runs while its session is not Up. Not in passive mode. Default: nowhere, it is withdrawn.
   */
  backup?: BackupOptions | undefined;
}

/** Options that have been validated: the keys are copied. */
export interface ValidatedOptions extends Omit<RegisterOptions, 'auth' | 'peerIP'> {
  readonly auth?: SessionAuth | undefined;
  /** Validated with the route. */
  readonly peerIP?: unknown;
}

/** The part of a configuration that options are validated against. */
export type OptionBounds = Pick<ResolvedConfig, 'protocol' | 'minTxFloor' | 'maxTxCeil' | 'passiveMode'>;

/** The options of a session beside its timers. */
export const SESSION_OPTION_ENTRIES = {
  port: v.optional(integer(1, 65_535)),
  holdUp: v.optional(holdUpField),
  damping: v.optional(dampingField),
  multihop: v.optional(flag),
  passive: v.optional(flag),
  minTtl: v.optional(integer(1, 255)),
  auth: v.optional(v.unknown()),
  onPeerAdminDown: v.optional(choice(['withdraw', 'keep'])),
};
const SESSION_ENTRIES = {
  txMin: v.optional(duration(MAX_INTERVAL)),
  rxMin: v.optional(duration(MAX_INTERVAL)),
  detectMult: v.optional(integer(1, 255)),
  ...SESSION_OPTION_ENTRIES,
};
const SESSION_SCHEMA = object(SESSION_ENTRIES);
const REGISTER_SCHEMA = object({ ...SESSION_ENTRIES, peerIP: v.optional(v.unknown()), backup: v.optional(backupField) });

/** The options of a registration without options. */
export const NO_OPTIONS: ValidatedOptions = Object.freeze({});

/** Accepts what it has returned. @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function validateRegisterOptions(options: RegisterOptions | ValidatedOptions | undefined, bounds: OptionBounds): ValidatedOptions {
  // Fast path: most routes have no options, and there may be many.
  if (options === undefined || options === NO_OPTIONS) return NO_OPTIONS;
  return validated(REGISTER_SCHEMA, options, bounds);
}

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function validateSessionOptions(options: RegisterSessionOptions | undefined, bounds: OptionBounds): ValidatedOptions {
  // What only a route has is an unknown name there.
  return options === undefined ? NO_OPTIONS : validated(SESSION_SCHEMA as unknown as typeof REGISTER_SCHEMA, options, bounds);
}

function validated(schema: typeof REGISTER_SCHEMA, options: unknown, bounds: OptionBounds): ValidatedOptions {
  const { output, issues } = parsed(schema, options, 'options');
  if (issues.length === 0) {
    issues.push(...foreignOptionIssues(output, bounds.protocol), ...outsideIssues(output, bounds), ...dampingIssues(output.damping));
  }
  if (output.minTtl !== undefined && output.multihop !== true && bounds.protocol === 'bfd') issues.push(MIN_TTL_ISSUE);
  if ('backup' in output && bounds.passiveMode) issues.push(PASSIVE_BACKUP_ISSUE);
  const { auth: given, ...others } = output;
  if (given === undefined || bounds.protocol !== 'bfd') {
    if (issues.length > 0) throw new ConfigError(issues);
    return others;
  }
  const { auth, issues: authIssues } = parseAuth(given);
  issues.push(...authIssues);
  if (issues.length > 0) throw new ConfigError(issues);
  return { ...others, auth };
}

const PASSIVE_BACKUP_ISSUE = { path: 'backup', message: PASSIVE_BACKUP };

const MIN_TTL_ISSUE = {
  path: 'minTtl',
  message:
    '`minTtl` is an option of sessions with `multihop`: a single hop requires a TTL of 255 (RFC 5881 §5), and `minTtl` of the configuration lowers that',
};
