/** Anything -> a full, frozen configuration, or every issue at once. */
import type { Registry } from 'prom-client';
import * as v from 'valibot';

import { ConfigError, messageOf } from '../base/errors.js';
import { choice, definedOf, duration, field, flag, hasMethods, integer, ipv4Field, object, optionsOf, parsed } from '../base/fields.js';
import {
  boundIssues,
  DEFAULT_BOUNDS,
  type IntervalBounds,
  MAX_BACKOFF,
  MAX_INTERVAL,
  outsideIssues,
  type SessionTimerOptions,
} from '../base/intervals.js';
import { type Logger, loggerField } from '../base/logger.js';
import { DEFAULT_METRICS_PREFIX, prefixField, registryField } from '../metrics/metrics.js';
import { BACKEND_METHODS, type RouteReaderWriter } from '../routes/reader-writer.js';
import { parseClientVersion } from '../protocol/client-version.js';
import { DEFAULT_LIVENESS_PORT } from '../protocol/liveness.js';
import type { UDPService } from '../protocol/udp-service.js';

/** Wishes for the thread that carries the sessions; what the system refuses is a warning. */
export interface RealtimeOptions {
  /** SCHED_FIFO at this priority, 1 to 99. Needs CAP_SYS_NICE or RLIMIT_RTPRIO. Default: not asked for. */
  priority?: number | undefined;
  /** The one CPU to run on, from 0. Default: any. */
  cpu?: number | undefined;
  /** Keep the thread’s code, stack and heap in memory; not JavaScript’s heap. Needs CAP_IPC_LOCK or RLIMIT_MEMLOCK. Default: false. */
  lockMemory?: boolean | undefined;
}

/** What `close()` does where it is not told. */
export interface CloseOptions {
  /** Say AdminDown to all peers first, for one detection time, 3 s at most. Default: false. */
  adminDown?: boolean | undefined;
  /** Withdraw all routes first. Default: false: they stay in the kernel, and nobody watches them. */
  withdrawRoutes?: boolean | undefined;
}

/** How a manager is set up (reference name: `ManagerConfig`). Durations are milliseconds, fractions allowed. */
export interface ManagerConfig {
  /** The routing backend: `new NetlinkRoutes()`, `new MemoryRoutes()` or your own. Required. */
  netlinker: RouteReaderWriter;
  /** The local IPv4 address of the UDP socket; `0.0.0.0` for all. Required. */
  bindIP: string;
  /** How often we want to send, within [minTxFloor, maxTxCeil]. Required. */
  txMin: number;
  /** How often we can receive, within [minTxFloor, maxTxCeil]. Required. */
  rxMin: number;
  /** So many intervals of silence mean Down, 1 to 255. Required. */
  detectMult: number;
  /** The UDP port, 0 to 65 535; 0 takes a free one. Default: 44880. */
  port?: number | undefined;
  /** A UDP transport of your own, on the JavaScript engine. Default: sockets of the engine's. */
  udp?: UDPService | undefined;
  /**
   * Only observe: routes are installed at registration and deleted at withdrawal, whatever their sessions do. Peers are told so,
   * by a flag in byte 20. Default: false.
   */
  passiveMode?: boolean | undefined;
  /** The shortest interval there is, above 0 and at most 60 000. Default: 50. */
  minTxFloor?: number | undefined;
  /** The longest interval that we send at, at most 60 000. Default: 1 000. */
  maxTxCeil?: number | undefined;
  /**
   * The longest interval between two packets while Down, at most 600 000. One below the agreed interval of a session makes it send
   * no faster: `max(interval, backoffMax)` counts. Default: maxTxCeil.
   */
  backoffMax?: number | undefined;
  /** Entries in the scheduler's queue, 2 to 4 000 000; two per session. Default: 10 240, which is 5 120 sessions. */
  maxEvents?: number | undefined;
  /** Any object with pino's `child`, `trace`, `debug`, `info`, `warn` and `error`. Default: nothing is logged. */
  logger?: Logger | undefined;
  /** A registry of prom-client's to show metrics on. Default: none. */
  metricsRegistry?: Registry | undefined;
  /** What the metrics' names begin with. Default: `liveness_`. */
  metricsPrefix?: string | undefined;
  /** Show series per peer too: two for each session, gone with it. Default: false. */
  enablePeerMetrics?: boolean | undefined;
  /**
   * The version that we tell our peers, in bytes 21 to 24: `1.2.3`, or what build systems make of it (`v1.2.3`, `1.2.3-rc.1`,
   * `0.8.1~git2025`, `1.2.3+git.abc`). Default: these are zero, as the reference sends them.
   */
  clientVersion?: string | undefined;
  /** Keep the route of a session that goes Down while its peer says that it is passive. Default: false. */
  honorPeerAdvertisedPassive?: boolean | undefined;
  /**
   * In Up, hear only packets that name our discriminator: what is forged without it neither takes a session down nor keeps
   * it up. A peer that restarts is then noticed by its silence, not by its first word. Default: false.
   */
  requireDiscriminator?: boolean | undefined;
  /**
   * Refuse packets that arrive with a lower TTL than this, 1 to 255: with 255 only neighbours are heard, since the native engine
   * sends with 255 and every router takes one off (RFC 5082). Peers have to send so, too. Needs the native engine. Default: any.
   */
  minTtl?: number | undefined;
  /** How long a route operation may take before it counts as failed, 1 to 600 000. Default: 5 000. */
  routeTimeout?: number | undefined;
  /** What `close()` does where it is not told. */
  onClose?: CloseOptions | undefined;
  /** Which engine: `auto` takes the native one where it loads. The environment's ROUTE_LIVENESS_ENGINE overrides. Default: `auto`. */
  engine?: 'auto' | 'native' | 'js' | undefined;
  /** Real-time wishes for the native engine's thread. Default: none. */
  realtime?: RealtimeOptions | undefined;
}

type Optional = 'udp' | 'logger' | 'metricsRegistry' | 'clientVersion' | 'minTtl' | 'realtime';

/** A configuration with every default filled in. */
export type ResolvedConfig = Readonly<
  { [K in Exclude<keyof ManagerConfig, Optional | 'onClose'>]-?: NonNullable<ManagerConfig[K]> } & {
    [K in Optional]: ManagerConfig[K];
  } & { onClose: Readonly<Required<{ [K in keyof CloseOptions]: boolean }>> }
>;

const DEFAULTS = {
  port: DEFAULT_LIVENESS_PORT,
  passiveMode: false,
  ...DEFAULT_BOUNDS,
  maxEvents: 10_240,
  metricsPrefix: DEFAULT_METRICS_PREFIX,
  enablePeerMetrics: false,
  honorPeerAdvertisedPassive: false,
  requireDiscriminator: false,
  routeTimeout: 5_000,
  engine: 'auto',
} as const;

const UDP_METHODS = ['readFrom', 'writeTo', 'setReadDeadline', 'localAddr', 'close'] as const;

const CLOSE_ENTRIES = { adminDown: v.optional(flag), withdrawRoutes: v.optional(flag) };

const SCHEMA = object({
  netlinker: field<RouteReaderWriter>(`an object with ${BACKEND_METHODS.join(', ')}`, (value) => hasMethods(value, BACKEND_METHODS)),
  bindIP: ipv4Field,
  txMin: duration(MAX_INTERVAL),
  rxMin: duration(MAX_INTERVAL),
  detectMult: integer(1, 255),
  port: v.optional(integer(0, 65_535)),
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
  requireDiscriminator: v.optional(flag),
  minTtl: v.optional(integer(1, 255)),
  routeTimeout: v.optional(duration(600_000)),
  onClose: v.optional(object(CLOSE_ENTRIES)),
  engine: v.optional(choice(['auto', 'native', 'js'])),
  realtime: v.optional(object({ priority: v.optional(integer(1, 99)), cpu: v.optional(integer(0, 1_023)), lockMemory: v.optional(flag) })),
});

/**
 * Fills defaults and enforces constraints (reference name: `ManagerConfig.Validate`).
 *
 * @returns the full configuration, frozen; the given one is left as it is
 * @throws ConfigError `ERR_CONFIG`, with every issue at once
 */
export function validateConfig(config: ManagerConfig): ResolvedConfig {
  const read = fieldsOf(config);
  const { issues } = parsed(SCHEMA, read, '');
  const given = typeof read === 'object' && read !== null ? definedOf(read as Partial<ManagerConfig>) : {};
  const wrong = new Set(issues.map((issue) => issue.path));
  const filled = { ...DEFAULTS, backoffMax: given.maxTxCeil ?? DEFAULTS.maxTxCeil, ...given } as Partial<ManagerConfig> & IntervalBounds;
  issues.push(...boundIssues(filled, wrong));
  if (issues.length > 0) throw new ConfigError(issues);
  const { adminDown = false, withdrawRoutes = false } = given.onClose ?? {};
  return Object.freeze({ ...filled, onClose: Object.freeze({ adminDown, withdrawRoutes }) }) as ResolvedConfig;
}

/** What can be said of a route when it is registered. */
export interface RegisterOptions extends SessionTimerOptions {
  /** The peer's UDP port, 1 to 65 535. Default: 44880. */
  port?: number | undefined;
  /** The peer's address, where it is not the destination of the route. */
  peerIP?: string | undefined;
}

const REGISTER_SCHEMA = object({
  port: v.optional(integer(1, 65_535)),
  peerIP: v.optional(v.unknown()),
  txMin: v.optional(duration(MAX_INTERVAL)),
  rxMin: v.optional(duration(MAX_INTERVAL)),
  detectMult: v.optional(integer(1, 255)),
});

/** What a route has that was given none. */
export const NO_OPTIONS: RegisterOptions = Object.freeze({});

/** @throws ConfigError `ERR_CONFIG`, with every issue at once */
export function validateRegisterOptions(options: RegisterOptions | undefined, bounds: IntervalBounds): RegisterOptions {
  // Most routes have none, and there may be many.
  if (options === undefined || options === NO_OPTIONS) return NO_OPTIONS;
  const { output, issues } = parsed(REGISTER_SCHEMA, options, 'options');
  if (issues.length === 0) issues.push(...outsideIssues(output, bounds));
  if (issues.length > 0) throw new ConfigError(issues);
  return output as RegisterOptions;
}

const CLOSE_SCHEMA = object(CLOSE_ENTRIES);

/** What `close()` was told; what is not said is left out. @throws ConfigError `ERR_CONFIG` */
export function closeOptions(options: CloseOptions | undefined): CloseOptions {
  return optionsOf(CLOSE_SCHEMA, options);
}

/** Reads every field once, inherited ones as well: what was checked is what is used. */
function fieldsOf(config: unknown): unknown {
  if (typeof config !== 'object' || config === null) return config;
  try {
    const names = new Set([...Object.keys(SCHEMA.entries).filter((name) => name in config), ...Object.keys(config)]);
    return Object.fromEntries([...names].map((name) => [name, (config as Record<string, unknown>)[name]]));
  } catch (cause) {
    throw new ConfigError([{ path: '', message: `The configuration cannot be read: ${messageOf(cause)}` }], { cause });
  }
}
