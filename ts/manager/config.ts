/** Validates a configuration: the result is complete and frozen, or an error lists every issue. */
import { isAbsolute } from 'node:path';

import * as v from 'valibot';

import { ConfigError, messageOf } from '../base/errors.js';
import { choice, definedOf, duration, field, flag, hasMethods, integer, object, optionsOf, parsed } from '../base/fields.js';
import { boundIssues, DEFAULT_BOUNDS, type IntervalBounds, MAX_BACKOFF, MAX_INTERVAL } from '../base/intervals.js';
import { type Logger, loggerField } from '../base/logger.js';
import { DEFAULT_METRICS_PREFIX, prefixField, registryField } from '../metrics/metrics.js';
import type { MetricsRegistry } from '../metrics/prom-client.js';
import { BACKEND_METHODS, type RouteReaderWriter } from '../routes/reader-writer.js';
import { DEFAULT_BFD_MULTIHOP_PORT, DEFAULT_BFD_PORT } from '../protocol/bfd/ports.js';
import { parseClientVersion } from '../protocol/client-version.js';
import { DEFAULT_LIVENESS_PORT } from '../protocol/liveness.js';
import type { UDPService } from '../protocol/udp-service.js';
import { bindIPField } from './bound-addresses.js';
import { massDownField, type MassDownOptions } from './mass-down.js';
import { completeDamping, dampingField, dampingIssues, type DampingOptions, holdUpField } from './damping-options.js';
import { foreignIssues } from './protocol-options.js';

/** Real-time settings of the native engine's thread. A setting that the system refuses is a warning. */
export interface RealtimeOptions {
  /** SCHED_FIFO at this priority, 1 to 99. Needs CAP_SYS_NICE or RLIMIT_RTPRIO. Default: not requested. */
  priority?: number | undefined;
  /** The one CPU to run on, from 0. Default: any. */
  cpu?: number | undefined;
}

/** What `close()` does by default. */
export interface CloseOptions {
  /** First announce AdminDown to all peers, for one detection time and 3 s at most. Default: false. */
  adminDown?: boolean | undefined;
  /** First withdraw all routes. Default: false: the routes stay in the kernel, unwatched. */
  withdrawRoutes?: boolean | undefined;
}

/** The configuration of a manager (reference name: `ManagerConfig`). Durations are milliseconds, fractions allowed. */
export interface ManagerConfig {
  /** The routing backend: `new NetlinkRoutes()`, `new MemoryRoutes()` or your own. Required. */
  netlinker: RouteReaderWriter;
  /**
   * The local address of the UDP socket, or one of IPv4 and one of IPv6; `0.0.0.0` and `::` stand for all of their family. Sessions
   * are of the families that are named here. Required.
   */
  bindIP: string | readonly string[];
  /** The desired transmit interval, within [minTxFloor, maxTxCeil]. Required. */
  txMin: number;
  /** The required receive interval, within [minTxFloor, maxTxCeil]. Required. */
  rxMin: number;
  /** The number of intervals whose silence means Down, 1 to 255. Required. */
  detectMult: number;
  /** What the sessions speak: the liveness protocol, or BFD (RFC 5880). Default: `liveness`. */
  protocol?: 'liveness' | 'bfd' | undefined;
  /** The UDP port, 0 to 65 535; 0 takes a free one. Default: 44880; in BFD 3784 (RFC 5881 §4). */
  port?: number | undefined;
  /** Only of BFD: the UDP port of multihop sessions, 0 to 65 535; 0 takes a free one. Default: 4784 (RFC 5883 §5). */
  multihopPort?: number | undefined;
  /** A UDP transport of your own, for the JavaScript engine. Default: the engine's sockets. */
  udp?: UDPService | undefined;
  /**
   * Only observe: routes are installed at registration and deleted at withdrawal, independently of their sessions. Packets of the
   * liveness protocol tell the peers by a flag in byte 20. Default: false.
   */
  passiveMode?: boolean | undefined;
  /** The shortest interval, above 0 and at most 60 000. Default: 50. */
  minTxFloor?: number | undefined;
  /** The longest transmit interval, at most 60 000. Default: 1 000. */
  maxTxCeil?: number | undefined;
  /**
   * The longest interval between two packets while Down, at most 600 000. A value below the agreed interval of a session does not
   * make that session send faster. Not of BFD, where such a session sends once a second (RFC 5880 §6.8.3). Default: maxTxCeil.
   */
  backoffMax?: number | undefined;
  /** Entries in the scheduler's queue, 2 to 4 000 000; two per session. Default: 10 240, which is 5 120 sessions. */
  maxEvents?: number | undefined;
  /** Any object with pino's `child`, `trace`, `debug`, `info`, `warn` and `error`. Default: nothing is logged. */
  logger?: Logger | undefined;
  /** A registry of prom-client for the metrics. Default: no metrics. */
  metricsRegistry?: MetricsRegistry | undefined;
  /** The prefix of the metrics' names. Default: `liveness_`. */
  metricsPrefix?: string | undefined;
  /** Show series per peer, which end with the session. Default: false. */
  enablePeerMetrics?: boolean | undefined;
  /**
   * The version that packets carry in bytes 21 to 24: `1.2.3`, or a form that build systems make (`v1.2.3`, `1.2.3-rc.1`,
   * `0.8.1~git2025`, `1.2.3+git.abc`). Not of BFD. Default: zeros, as the reference sends.
   */
  clientVersion?: string | undefined;
  /** Keep the route of a session that goes Down while its peer is passive. Not of BFD, whose packets have no such flag. Default: false. */
  honorPeerAdvertisedPassive?: boolean | undefined;
  /**
   * Only of BFD: what becomes of an installed route when its peer goes AdminDown. That is no failure of the path (RFC 5882 §3.2):
   * `keep` leaves the route until the session goes Down for another reason. Registrations may differ. Default: `withdraw`.
   */
  onPeerAdminDown?: 'withdraw' | 'keep' | undefined;
  /**
   * After a session that had been Up before comes Up again, its routes are installed only once it has stayed Up for so many
   * milliseconds, 0 to 600 000. The first Up is not delayed, and no withdrawal is. No effect in passive mode. Registrations may
   * differ. Default: 0.
   */
  holdUp?: number | undefined;
  /**
   * Suppress the routes of sessions that flap (RFC 2439); `true` stands for the defaults. No effect in passive mode. Registrations
   * may differ. Default: false.
   */
  damping?: boolean | DampingOptions | undefined;
  /**
   * In Up, accept only packets that carry our discriminator: forged packets without it neither take a session down nor keep it
   * up. A restart of the peer is then detected by silence, not by its first packet. Not of BFD. Default: false.
   */
  requireDiscriminator?: boolean | undefined;
  /**
   * Drop received packets with a lower TTL, 1 to 255. With 255 only packets of direct neighbours are accepted, since every router
   * decrements the TTL (RFC 5082); peers must send with 255, as both engines do. Needs the native engine. Default: any TTL; in BFD
   * 255 on a single hop (RFC 5881 §5), and any on several.
   */
  minTtl?: number | undefined;
  /** How long a route operation may take before it counts as failed, 1 to 600 000. Default: 5 000. */
  routeTimeout?: number | undefined;
  /**
   * Where more than `share` of the sessions fall within `within`, their withdrawals wait for `hold` at most: it is probably this
   * host. A warning says so (`ERR_MASS_DOWN`). A session that its peer takes out of service does not count. Default: none wait.
   */
  massDown?: MassDownOptions | undefined;
  /**
   * What becomes of routes when the engine stops by itself, by a fault of it or of its socket: `keep` leaves them in place,
   * unwatched; `withdraw` withdraws them, unless they are held or have `noUninstall`. In passive mode they always stay. Default:
   * `keep`.
   */
  onFatal?: 'keep' | 'withdraw' | undefined;
  /** The defaults of `close()`. */
  onClose?: CloseOptions | undefined;
  /**
   * A file in which a successor finds the sessions, and in which those of a predecessor are: an absolute path of at most 90 bytes.
   * All of them go on at once, so that a restart shorter than the detection time of the peers is not noticed; registrations take
   * them as they are, and what is not registered within 10 s ends. A predecessor that lives is asked to hand over. The folder
   * must be of this user alone, on a file system whose files can be mapped, and be empty after a boot, as `/run` is. Needs the
   * native engine. Sessions with `auth` start anew. Default: none.
   */
  resume?: string | undefined;
  /**
   * A BPF program on the engine's sockets takes in each packet that equals the one before of a session that is Up: it notes the time
   * and drops the packet, so that none wakes the engine's thread. The kernel counts these packets as errors of UDP (InErrors). Needs
   * the native engine, Linux 5.8, and CAP_BPF; without these a warning says so (`ERR_FILTER_REFUSED`), and the engine reads every
   * packet. Default: false.
   */
  filterRepeats?: boolean | undefined;
  /** The engine; `auto` is the native engine if the addon loads. The environment variable ROUTE_LIVENESS_ENGINE overrides it. Default: `auto`. */
  engine?: 'auto' | 'native' | 'js' | undefined;
  /** Real-time settings of the native engine's thread. Default: none. */
  realtime?: RealtimeOptions | undefined;
}

type Optional =
  | 'udp'
  | 'logger'
  | 'metricsRegistry'
  | 'clientVersion'
  | 'minTtl'
  | 'realtime'
  | 'massDown'
  | 'resume'
  // Of one protocol alone.
  | 'backoffMax'
  | 'multihopPort'
  | 'onPeerAdminDown';

/** A configuration with every default filled in. */
export type ResolvedConfig = Readonly<
  { [K in Exclude<keyof ManagerConfig, Optional | 'onClose'>]-?: NonNullable<ManagerConfig[K]> } & {
    [K in Optional]: ManagerConfig[K];
  } & { onClose: Readonly<Required<{ [K in keyof CloseOptions]: boolean }>> }
>;

const DEFAULTS = {
  protocol: 'liveness',
  passiveMode: false,
  ...DEFAULT_BOUNDS,
  maxEvents: 10_240,
  metricsPrefix: DEFAULT_METRICS_PREFIX,
  enablePeerMetrics: false,
  honorPeerAdvertisedPassive: false,
  requireDiscriminator: false,
  filterRepeats: false,
  holdUp: 0,
  damping: false,
  routeTimeout: 5_000,
  onFatal: 'keep',
  engine: 'auto',
} as const;

/** The defaults that are of one protocol. */
const PROTOCOL_DEFAULTS = {
  liveness: { port: DEFAULT_LIVENESS_PORT },
  bfd: { port: DEFAULT_BFD_PORT, multihopPort: DEFAULT_BFD_MULTIHOP_PORT, onPeerAdminDown: 'withdraw' },
} as const;

const UDP_METHODS = ['readFrom', 'writeTo', 'setReadDeadline', 'localAddr', 'close'] as const;

/** The name of a unix socket has 107 bytes at most (unix(7)), and there is one beside the file. */
const LONGEST_RESUME = 90;

const CLOSE_ENTRIES = { adminDown: v.optional(flag), withdrawRoutes: v.optional(flag) };

const SCHEMA = object({
  netlinker: field<RouteReaderWriter>(`an object with ${BACKEND_METHODS.join(', ')}`, (value) => hasMethods(value, BACKEND_METHODS)),
  bindIP: bindIPField,
  txMin: duration(MAX_INTERVAL),
  rxMin: duration(MAX_INTERVAL),
  detectMult: integer(1, 255),
  protocol: v.optional(choice(['liveness', 'bfd'])),
  port: v.optional(integer(0, 65_535)),
  multihopPort: v.optional(integer(0, 65_535)),
  udp: v.optional(field<UDPService>(`a transport with ${UDP_METHODS.join(', ')}`, (value) => hasMethods(value, UDP_METHODS))),
  passiveMode: v.optional(flag),
  minTxFloor: v.optional(duration(MAX_INTERVAL)),
  maxTxCeil: v.optional(duration(MAX_INTERVAL)),
  backoffMax: v.optional(duration(MAX_BACKOFF)),
  maxEvents: v.optional(integer(2, 4_000_000)),
  logger: v.optional(loggerField),
  metricsRegistry: v.optional(registryField),
  metricsPrefix: v.optional(prefixField),
  enablePeerMetrics: v.optional(flag),
  clientVersion: v.optional(
    field<string>('a version like `1.2.3`, `1.2.3-rc.1` or `1.2.3~git2025`, each number at most 255', (value) => {
      return typeof value === 'string' && parseClientVersion(value) !== undefined;
    }),
  ),
  honorPeerAdvertisedPassive: v.optional(flag),
  onPeerAdminDown: v.optional(choice(['withdraw', 'keep'])),
  requireDiscriminator: v.optional(flag),
  filterRepeats: v.optional(flag),
  holdUp: v.optional(holdUpField),
  damping: v.optional(dampingField),
  minTtl: v.optional(integer(1, 255)),
  routeTimeout: v.optional(duration(600_000)),
  massDown: v.optional(massDownField),
  onFatal: v.optional(choice(['keep', 'withdraw'])),
  onClose: v.optional(object(CLOSE_ENTRIES)),
  resume: v.optional(
    field<string>(`an absolute path of at most ${LONGEST_RESUME} bytes`, (value) => {
      return typeof value === 'string' && isAbsolute(value) && !value.includes('\0') && Buffer.byteLength(value) <= LONGEST_RESUME;
    }),
  ),
  engine: v.optional(choice(['auto', 'native', 'js'])),
  realtime: v.optional(object({ priority: v.optional(integer(1, 99)), cpu: v.optional(integer(0, 1_023)) })),
});

/**
 * Fills defaults and enforces constraints (reference name: `ManagerConfig.Validate`).
 *
 * @returns the complete configuration, frozen; the argument is not changed
 * @throws ConfigError `ERR_CONFIG`, with every issue at once
 */
export function validateConfig(config: ManagerConfig): ResolvedConfig {
  const read = fieldsOf(config);
  const { output, issues } = parsed(SCHEMA, read, '');
  const given = typeof read === 'object' && read !== null ? definedOf(read as Partial<ManagerConfig>) : {};
  const wrong = new Set(issues.map((issue) => issue.path.split('.')[0] ?? ''));
  const filled = { ...defaultsOf(given), ...given } as Partial<ManagerConfig> & IntervalBounds;
  if (!wrong.has('protocol')) issues.push(...foreignIssues(given, filled.protocol ?? DEFAULTS.protocol, wrong));
  issues.push(...boundIssues(filled, wrong));
  if (!wrong.has('damping')) issues.push(...dampingIssues(output.damping));
  if (issues.length > 0) throw new ConfigError(issues);
  const { adminDown = false, withdrawRoutes = false } = given.onClose ?? {};
  const { bindIP } = output;
  const damping = completeDamping(output.damping ?? DEFAULTS.damping);
  return Object.freeze({ ...filled, bindIP, damping, onClose: Object.freeze({ adminDown, withdrawRoutes }) }) as ResolvedConfig;
}

function defaultsOf({ protocol, maxTxCeil = DEFAULTS.maxTxCeil }: Partial<ManagerConfig>): Partial<ManagerConfig> {
  if (protocol === 'bfd') return { ...DEFAULTS, ...PROTOCOL_DEFAULTS.bfd };
  return { ...DEFAULTS, ...PROTOCOL_DEFAULTS.liveness, backoffMax: maxTxCeil };
}

const CLOSE_SCHEMA = object(CLOSE_ENTRIES);

/** The options of `close()` without the undefined ones. @throws ConfigError `ERR_CONFIG` */
export function closeOptions(options: CloseOptions | undefined): CloseOptions {
  return optionsOf(CLOSE_SCHEMA, options);
}

/** Reads every field once, including inherited ones, so that the checked values are the used ones. */
function fieldsOf(config: unknown): unknown {
  if (typeof config !== 'object' || config === null) return config;
  try {
    const names = new Set([...Object.keys(SCHEMA.entries).filter((name) => name in config), ...Object.keys(config)]);
    return Object.fromEntries([...names].map((name) => [name, (config as Record<string, unknown>)[name]]));
  } catch (cause) {
    throw new ConfigError([{ path: '', message: `The configuration cannot be read: ${messageOf(cause)}` }], { cause });
  }
}
