/** The metrics of the reference as metrics of prom-client. */
import * as v from 'valibot';

import { field, hasMethods, object, optionsOf } from '../base/fields.js';
import { readGuarded } from '../base/guard.js';
import { CONVERGENCE_BOUNDS, HANDLE_RX_BOUNDS, type HistogramStats, TURN_DELAY_BOUNDS } from './duration-histogram.js';
import {
  type CounterMetric,
  type GaugeMetric,
  type HistogramMetric,
  type MetricsRegistry,
  promClient,
  type PromClient,
} from './prom-client.js';

/** The interface (reference name: `LabelIface`). */
export const LABEL_IFACE = 'iface';
/** The local address of sessions (reference name: `LabelLocalIP`). */
export const LABEL_LOCAL_IP = 'local_ip';
/** The peer's address (reference name: `LabelPeerIP`). */
export const LABEL_PEER_IP = 'peer_ip';
/** A session's state (reference name: `LabelState`). */
export const LABEL_STATE = 'state';
/** The new state of a session (reference name: `LabelStateTo`). */
export const LABEL_STATE_TO = 'state_to';
/** The previous state of a session (reference name: `LabelStateFrom`). */
export const LABEL_STATE_FROM = 'state_from';
/** The reason (reference name: `LabelReason`). */
export const LABEL_REASON = 'reason';
/** The operation that failed (reference name: `LabelOperation`). */
export const LABEL_OPERATION = 'operation';
/** A peer's mode: `active`, `passive`, or empty before its first packet. */
export const LABEL_MODE = 'mode';
/** A peer's version; empty if its packets carry none. */
export const LABEL_VERSION = 'version';

/** Whether a diagnostic was `sent` or `received`. */
export const LABEL_DIRECTION = 'direction';
/** Who may be the cause of a timeout: `peer`, or `local` where this host was late itself. */
export const LABEL_CAUSE = 'cause';
export const LABEL_LEG = 'leg';
/** The engine of a manager. */
export const LABEL_ENGINE = 'engine';
/** The protocol of a manager. */
export const LABEL_PROTOCOL = 'protocol';

/** A diagnostic of BFD (RFC 5880 §4.1). */
export const LABEL_DIAGNOSTIC = 'diagnostic';

export const DEFAULT_METRICS_PREFIX = 'liveness_';

const REGISTRY_METHODS = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'] as const;

export const registryField = field<MetricsRegistry>('a Registry of prom-client', (value) => hasMethods(value, REGISTRY_METHODS));
export const prefixField = field<string>('the beginning of a Prometheus name: letters, digits, `_` and `:`, no digit first', (value) => {
  return typeof value === 'string' && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(value);
});
/** The metrics that building blocks write to. */
export const metricsField = field<Metrics>('a Metrics', (value) => typeof value === 'object' && value !== null);
const REGISTER_SCHEMA = object({ registry: registryField });
const METRICS_SCHEMA = object({ prefix: v.optional(prefixField) });

type Kind = 'gauge' | 'counter' | 'histogram';

interface Definition {
  readonly kind: Kind;
  readonly suffix: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly bounds?: readonly number[];
}

const ENDPOINT = [LABEL_IFACE, LABEL_LOCAL_IP] as const;
const PEER = [...ENDPOINT, LABEL_PEER_IP] as const;

/** The name in Prometheus is the prefix and the suffix. */
const DEFINITIONS = {
  sessions: { kind: 'gauge', suffix: 'sessions', help: 'Sessions by state', labels: [...ENDPOINT, LABEL_STATE] },
  sessionTransitions: {
    kind: 'counter',
    suffix: 'session_transitions_total',
    help: 'Changes of a session’s state, by what caused them',
    labels: [...ENDPOINT, LABEL_STATE_FROM, LABEL_STATE_TO, LABEL_REASON],
  },
  routesInstalled: { kind: 'gauge', suffix: 'routes_installed', help: 'Routes that the backend has confirmed', labels: ENDPOINT },
  routeInstalls: { kind: 'counter', suffix: 'route_installs_total', help: 'Routes installed', labels: ENDPOINT },
  routeWithdraws: { kind: 'counter', suffix: 'route_withdraws_total', help: 'Routes withdrawn', labels: ENDPOINT },
  convergenceToUp: {
    kind: 'histogram',
    suffix: 'convergence_to_up_seconds',
    help: 'From the first valid packet while Down to the installed route',
    labels: ENDPOINT,
    bounds: CONVERGENCE_BOUNDS,
  },
  convergenceToDown: {
    kind: 'histogram',
    suffix: 'convergence_to_down_seconds',
    help: 'From the first packet that was missing, or said Down, to the withdrawn route',
    labels: ENDPOINT,
    bounds: CONVERGENCE_BOUNDS,
  },
  schedulerServiceQueueLen: {
    kind: 'gauge',
    suffix: 'scheduler_service_queue_len',
    help: 'Entries in the scheduler’s queue, by interface and local address',
    labels: ENDPOINT,
  },
  schedulerEventsDropped: {
    kind: 'counter',
    suffix: 'scheduler_events_dropped_total',
    help: 'Transmits given up on since the send buffer had no room for them; timers are never dropped',
    labels: ENDPOINT,
  },
  schedulerTotalQueueLen: { kind: 'gauge', suffix: 'scheduler_total_queue_len', help: 'Entries in the scheduler’s queue', labels: [] },
  routeInstallFailures: {
    kind: 'counter',
    suffix: 'route_install_failures_total',
    help: 'Attempts to install a route that failed',
    labels: ENDPOINT,
  },
  routeUninstallFailures: {
    kind: 'counter',
    suffix: 'route_uninstall_failures_total',
    help: 'Attempts to withdraw a route that failed',
    labels: ENDPOINT,
  },
  handleRxDuration: {
    kind: 'histogram',
    suffix: 'handle_rx_duration_seconds',
    help: 'The handling of one received packet',
    labels: ENDPOINT,
    bounds: HANDLE_RX_BOUNDS,
  },
  controlPacketsTX: { kind: 'counter', suffix: 'control_packets_tx_total', help: 'Control packets sent', labels: ENDPOINT },
  controlPacketsRX: {
    kind: 'counter',
    suffix: 'control_packets_rx_total',
    help: 'Control packets received for a session',
    labels: ENDPOINT,
  },
  controlPacketsRxInvalid: {
    kind: 'counter',
    suffix: 'control_packets_rx_invalid_total',
    help: 'Received packets that were dropped, by why',
    labels: [...ENDPOINT, LABEL_REASON],
  },
  unknownPeerPackets: {
    kind: 'counter',
    suffix: 'unknown_peer_packets_total',
    help: 'Well-formed packets that belong to no session',
    labels: ENDPOINT,
  },
  readSocketErrors: {
    kind: 'counter',
    suffix: 'read_socket_errors_total',
    help: 'Failed reads from the socket',
    labels: [...ENDPOINT, LABEL_OPERATION],
  },
  writeSocketErrors: {
    kind: 'counter',
    suffix: 'write_socket_errors_total',
    help: 'Failed writes to the socket',
    labels: [...ENDPOINT, LABEL_OPERATION],
  },
  peerSessions: {
    kind: 'gauge',
    suffix: 'peer_sessions',
    help: 'The session with a peer: 1 for the state that it is in',
    labels: [...PEER, LABEL_STATE],
  },
  peerDetectTime: {
    kind: 'gauge',
    suffix: 'peer_session_detect_time_seconds',
    help: 'So much silence of a peer means Down',
    labels: PEER,
  },
} as const satisfies Record<string, Definition>;

/** The metrics of a manager beside those of the reference. */
const FURTHER = {
  buildInfo: {
    kind: 'gauge',
    suffix: 'build_info',
    help: 'The open managers of a version, an engine and a protocol',
    labels: [LABEL_VERSION, LABEL_ENGINE, LABEL_PROTOCOL],
  },
  turnDelay: {
    kind: 'histogram',
    suffix: 'turn_delay_seconds',
    help: 'How late the engine’s turns began: the scheduling delay of this host',
    labels: [],
    bounds: TURN_DELAY_BOUNDS,
  },
  worstTurnDelay: {
    kind: 'gauge',
    suffix: 'worst_turn_delay_seconds',
    help: 'The longest delay of a turn since the start',
    labels: [],
  },
  socketDrops: {
    kind: 'counter',
    suffix: 'socket_drops_total',
    help: 'Received datagrams that were dropped since the socket’s buffer was full',
    labels: [],
  },
  repeatsFiltered: {
    kind: 'counter',
    suffix: 'filtered_repeats_total',
    help: 'Packets that the filter in the kernel took in; the kernel counts them as errors of UDP',
    labels: [],
  },
  sessionTimeouts: {
    kind: 'counter',
    suffix: 'session_timeouts_total',
    help: 'Sessions that went Down since their peer was silent, by who may be the cause: the peer, or this host, which was late itself',
    labels: [...ENDPOINT, LABEL_CAUSE],
  },
  sessionRemoteDowns: {
    kind: 'counter',
    suffix: 'session_remote_downs_total',
    help: 'Sessions that went Down since their peer said so, by who may be the cause: the peer or the path, or this host, which was late',
    labels: [...ENDPOINT, LABEL_CAUSE],
  },
  sessionsNeverUp: {
    kind: 'gauge',
    suffix: 'sessions_never_up',
    help: 'Sessions that were not Up since they were registered',
    labels: ENDPOINT,
  },
  routesRetrying: {
    kind: 'gauge',
    suffix: 'routes_retrying',
    help: 'Routes whose last operation failed and that wait for a retry',
    labels: ENDPOINT,
  },
  routesHeld: {
    kind: 'gauge',
    suffix: 'routes_held',
    help: 'Installed routes of sessions that are not Up, which stay since the session is held',
    labels: ENDPOINT,
  },
  routesSuppressed: {
    kind: 'gauge',
    suffix: 'routes_suppressed',
    help: 'Routes that are not installed although their sessions are Up, since these were Down before',
    labels: ENDPOINT,
  },
  routeLegs: {
    kind: 'gauge',
    suffix: 'route_legs',
    help: 'Registered routes by what they run on: their primary next hop, their backup, or none',
    labels: [...ENDPOINT, LABEL_LEG],
  },
  sendBufferBytes: { kind: 'gauge', suffix: 'send_buffer_bytes', help: 'The size of the socket’s send buffer', labels: [] },
  sendBufferFull: {
    kind: 'counter',
    suffix: 'send_buffer_full_total',
    help: 'How often the send buffer had no room for a packet: some wait for neighbours that do not answer, or for their device',
    labels: [],
  },
  routeRestores: {
    kind: 'counter',
    suffix: 'route_restores_total',
    help: 'Routes that were lost while they were to be there, and that are put back',
    labels: ENDPOINT,
  },
  routeRestoresDelayed: {
    kind: 'counter',
    suffix: 'route_restores_delayed_total',
    help: 'Those of them that are put back after a delay, since others take them away again and again',
    labels: ENDPOINT,
  },
  routesDesired: {
    kind: 'gauge',
    suffix: 'routes_desired',
    help: 'Routes that should be installed: those of sessions that are Up; in passive mode all',
    labels: ENDPOINT,
  },
  peerInfo: {
    kind: 'gauge',
    suffix: 'peer_info',
    help: 'What a peer says of itself: 1',
    labels: [...PEER, LABEL_MODE, LABEL_VERSION],
  },
  sessionDiagnostics: {
    kind: 'counter',
    suffix: 'session_diagnostics_total',
    help: 'Sessions that went Down, by the diagnostic sent or received; only in BFD',
    labels: [...ENDPOINT, LABEL_DIRECTION, LABEL_DIAGNOSTIC],
  },
} as const satisfies Record<string, Definition>;

const ALL = { ...DEFINITIONS, ...FURTHER };

/** A metric by the name of its property. */
export type MetricName = keyof typeof ALL;
type ReferenceName = keyof typeof DEFINITIONS;

type NamesOf<K extends Kind> = { [N in MetricName]: (typeof ALL)[N]['kind'] extends K ? N : never }[MetricName];
type ReferenceNamesOf<K extends Kind> = Extract<NamesOf<K>, ReferenceName>;

/** Series whose value is one number. */
export type ScalarName = NamesOf<'gauge' | 'counter'>;
export type HistogramName = NamesOf<'histogram'>;
/** The metrics that building blocks write. */
export type ReferenceScalarName = ReferenceNamesOf<'gauge' | 'counter'>;
export type ReferenceHistogramName = ReferenceNamesOf<'histogram'>;

export type Labels = Readonly<Record<string, string>>;

/** The source of metrics that are read on scrape. A scrape reads all metrics in one turn of the event loop. */
export interface MetricsFeed {
  scalars(name: ScalarName): Iterable<readonly [labels: Labels, value: number]>;
  histograms(name: HistogramName): Iterable<readonly [labels: Labels, stats: HistogramStats]>;
}

/**
 * The 21 metrics of the reference, for the building blocks (reference name: `Metrics`). `register` puts them on a registry. A
 * manager needs none of these: it makes its own from `metricsRegistry`.
 */
export class Metrics {
  declare readonly sessions: GaugeMetric;
  declare readonly sessionTransitions: CounterMetric;
  declare readonly routesInstalled: GaugeMetric;
  declare readonly routeInstalls: CounterMetric;
  declare readonly routeWithdraws: CounterMetric;
  /** In seconds. */
  declare readonly convergenceToUp: HistogramMetric;
  /** In seconds. */
  declare readonly convergenceToDown: HistogramMetric;
  declare readonly schedulerServiceQueueLen: GaugeMetric;
  declare readonly schedulerEventsDropped: CounterMetric;
  declare readonly schedulerTotalQueueLen: GaugeMetric;
  declare readonly routeInstallFailures: CounterMetric;
  declare readonly routeUninstallFailures: CounterMetric;
  /** In seconds. */
  declare readonly handleRxDuration: HistogramMetric;
  declare readonly controlPacketsTX: CounterMetric;
  declare readonly controlPacketsRX: CounterMetric;
  declare readonly controlPacketsRxInvalid: CounterMetric;
  declare readonly unknownPeerPackets: CounterMetric;
  declare readonly readSocketErrors: CounterMetric;
  declare readonly writeSocketErrors: CounterMetric;
  declare readonly peerSessions: GaugeMetric;
  /** In seconds. */
  declare readonly peerDetectTime: GaugeMetric;

  /**
   * @param options.prefix the prefix of their names. Default: `liveness_`
   * @throws ConfigError `ERR_CONFIG`
   */
  constructor(options?: { prefix?: string | undefined });
  /** @internal */
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- the declarations leave out what is internal
  constructor(options: { prefix?: string | undefined }, feed: MetricsFeed);
  constructor(options?: { prefix?: string | undefined }, feed?: MetricsFeed) {
    const { prefix = DEFAULT_METRICS_PREFIX } = optionsOf(METRICS_SCHEMA, options);
    const metrics = this.names().map((name) => [name, newMetric(name, prefix, feed)]);
    Object.assign(this, Object.fromEntries(metrics));
  }

  /** @internal */
  protected names(): MetricName[] {
    return Object.keys(DEFINITIONS) as MetricName[];
  }

  /**
   * Registers all of them (reference name: `Metrics.Register`).
   *
   * @throws ConfigError `ERR_CONFIG` if it is no registry; prom-client's Error if the registry has one of the names already. Then
   * no metric is registered
   */
  register(registry: MetricsRegistry): this {
    optionsOf(REGISTER_SCHEMA, { registry });
    const done: string[] = [];
    try {
      for (const metric of this.all()) {
        registry.registerMetric(metric);
        done.push((metric as unknown as { name: string }).name);
      }
    } catch (error) {
      for (const name of done) readGuarded(() => registry.removeSingleMetric(name), undefined);
      throw error;
    }
    return this;
  }

  /** All of them. */
  all(): (GaugeMetric | CounterMetric | HistogramMetric)[] {
    return this.names().map((name) => this[name as ReferenceName]);
  }
}

/** The labels of a local endpoint. */
export function endpointLabels({ iface, localIP }: { readonly iface: string; readonly localIP: string }): Record<string, string> {
  return { [LABEL_IFACE]: iface, [LABEL_LOCAL_IP]: localIP };
}

/** The labels of a peer. */
export function peerLabels(peer: { readonly iface: string; readonly localIP: string; readonly peerIP: string }): Record<string, string> {
  return { ...endpointLabels(peer), [LABEL_PEER_IP]: peer.peerIP };
}

/** The name in Prometheus. */
export function prometheusName(name: MetricName, prefix: string): string {
  return `${prefix}${ALL[name].suffix}`;
}

export function managerMetricNames(): MetricName[] {
  return Object.keys(ALL) as MetricName[];
}

/** The metrics of a manager: those of the reference, and its own. */
export class ManagerMetrics extends Metrics {
  protected override names(): MetricName[] {
    return managerMetricNames();
  }
}

function newMetric(name: MetricName, prefix: string, feed: MetricsFeed | undefined): GaugeMetric | CounterMetric | HistogramMetric {
  const { kind, help, labels } = ALL[name];
  const prom = promClient();
  const options = { name: prometheusName(name, prefix), help, labelNames: [...labels], registers: [] };
  if (kind === 'histogram') return newHistogram(prom, name as HistogramName, options, feed);
  if (feed === undefined) return kind === 'gauge' ? new prom.Gauge(options) : new prom.Counter(options);
  const scalar = name as ScalarName;
  if (kind === 'gauge') {
    const collect = function (this: GaugeMetric): void {
      this.reset();
      for (const [series, value] of feed.scalars(scalar)) this.set(series, value);
    };
    return new prom.Gauge({ ...options, collect });
  }
  const collect = function (this: CounterMetric): void {
    this.reset();
    for (const [series, value] of feed.scalars(scalar)) this.inc(series, value);
  };
  return new prom.Counter({ ...options, collect });
}

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: never[];
}

function newHistogram(prom: PromClient, name: HistogramName, options: MetricOptions, feed: MetricsFeed | undefined): HistogramMetric {
  const config = { ...options, buckets: [...ALL[name].bounds] };
  if (feed === undefined) return new prom.Histogram(config);
  // prom-client cannot set the buckets of a histogram: the class overrides both methods that read it.
  class FedHistogram extends prom.Histogram {
    override get(): ReturnType<HistogramMetric['get']> {
      const values = [...(feed as MetricsFeed).histograms(name)].flatMap(([labels, stats]) => exposed(options.name, labels, stats));
      return Promise.resolve({ name: options.name, help: options.help, type: 'histogram', values, aggregator: 'sum' } as never);
    }

    getForPromString(): ReturnType<HistogramMetric['get']> {
      return this.get();
    }
  }
  return new FedHistogram(config);
}

interface ExposedValue {
  readonly labels: Record<string, string | number>;
  readonly value: number;
  readonly metricName: string;
}

/** A histogram as Prometheus reads it: cumulative buckets, sum and count. */
function exposed(name: string, labels: Labels, { bounds, counts, sum }: HistogramStats): ExposedValue[] {
  let count = 0;
  const buckets = counts.map((inBucket, index) => {
    count += inBucket;
    return { labels: { ...labels, le: bounds[index] ?? '+Inf' }, value: count, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels: { ...labels }, value: sum, metricName: `${name}_sum` },
    { labels: { ...labels }, value: count, metricName: `${name}_count` },
  ];
}
