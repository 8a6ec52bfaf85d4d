/**
 * What managers show to Prometheus. Everything is read on scrape: one reading per manager and scrape, shared by all
 * collectors. Managers on one registry and prefix share the collectors; equal label sets are summed, and the totals of
 * closed managers stay, so that counters never fall.
 */
import type { Registry } from 'prom-client';

import type { EndpointRouteStats, EndpointStats, TransitionCount } from '../engine/engine.js';
import { ConfigError, messageOf } from '../base/errors.js';
import type { HistogramStats } from '../metrics/duration-histogram.js';
import {
  type HistogramName,
  LABEL_MODE,
  LABEL_OPERATION,
  LABEL_REASON,
  LABEL_STATE,
  LABEL_STATE_FROM,
  LABEL_STATE_TO,
  LABEL_VERSION,
  type Labels,
  ManagerMetrics,
  managerMetricNames,
  type MetricsFeed,
  peerLabels,
  prometheusName,
  type ScalarName,
  endpointLabels,
} from '../metrics/metrics.js';
import type { State } from '../protocol/state.js';
import type { Peer } from '../base/route.js';

/** What one session shows, where per-peer series are asked for. */
export interface PeerReading {
  readonly peer: Readonly<Peer>;
  readonly state: State;
  /** In seconds. */
  readonly detectTime: number;
  /** What the peer says of itself; `undefined` while it has said nothing. */
  readonly mode: 'active' | 'passive' | undefined;
  readonly version: string | undefined;
}

/** How many routes of one (interface, local IP) should be installed. */
export interface DesiredRoutes {
  readonly iface: string;
  readonly localIP: string;
  readonly count: number;
}

/** One manager at one moment. */
export interface MetricsReading {
  readonly endpoints: readonly EndpointStats[];
  readonly routes: readonly EndpointRouteStats[];
  readonly desired: readonly DesiredRoutes[];
  readonly queueLength: number;
  readonly sendBufferBytes: number;
  readonly sendBufferFull: number;
  /** By the address that the socket is bound to: a read that fails belongs to no interface. */
  readonly readErrors: Readonly<Record<string, number>>;
  readonly peers: readonly PeerReading[];
}

/** Reads one manager. Never throws: a collector that does fails the whole scrape. */
export type MetricsSource = () => MetricsReading;

export const NOTHING: MetricsReading = {
  endpoints: [],
  routes: [],
  desired: [],
  queueLength: 0,
  sendBufferBytes: 0,
  sendBufferFull: 0,
  readErrors: {},
  peers: [],
};

const feeds = new WeakMap<Registry, Map<string, RegistryFeed>>();

/** @throws ConfigError where a metric of somebody else's has one of our names */
export function checkRegistry(registry: Registry, prefix: string): void {
  if (knownFeed(registry, prefix) !== undefined) return;
  const taken = fromRegistry(() =>
    managerMetricNames()
      .map((name) => prometheusName(name, prefix))
      .filter((name) => registry.getSingleMetric(name) !== undefined),
  );
  if (taken.length === 0) return;
  const message = `Expected \`metricsRegistry\` to have no metrics of these names, got ${taken.join(', ')}: choose another \`metricsPrefix\``;
  throw new ConfigError([{ path: 'metricsPrefix', message }]);
}

/** Shows a manager on a registry. Gives what ends that, with the last reading there will be. */
export function showMetrics(registry: Registry, prefix: string, source: MetricsSource): (last: MetricsReading) => void {
  const feed = knownFeed(registry, prefix) ?? newFeed(registry, prefix);
  feed.add(source);
  return (last) => feed.retire(source, last);
}

/** A registry that was cleared has lost our metrics: then there is none. */
function knownFeed(registry: Registry, prefix: string): RegistryFeed | undefined {
  const feed = feeds.get(registry)?.get(prefix);
  if (feed === undefined) return undefined;
  const known = fromRegistry(() => registry.getSingleMetric(prometheusName('schedulerTotalQueueLen', prefix)));
  return known === undefined ? undefined : feed;
}

/** What a registry of the user's gives. @throws ConfigError where it throws */
function fromRegistry<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new ConfigError([{ path: 'metricsRegistry', message: `\`metricsRegistry\` failed: ${messageOf(cause)}` }], { cause });
  }
}

function newFeed(registry: Registry, prefix: string): RegistryFeed {
  const feed = new RegistryFeed();
  fromRegistry(() => new ManagerMetrics({ prefix }, feed).register(registry));
  const ofRegistry = feeds.get(registry) ?? new Map<string, RegistryFeed>();
  feeds.set(registry, ofRegistry.set(prefix, feed));
  return feed;
}

class RegistryFeed implements MetricsFeed {
  readonly #sources = new Set<MetricsSource>();
  #retired = NOTHING;
  /** All collectors of one scrape are called in one turn of the event loop; it is dropped after that. */
  #shared: MetricsReading | undefined;

  add(source: MetricsSource): void {
    this.#sources.add(source);
  }

  retire(source: MetricsSource, last: MetricsReading): void {
    if (!this.#sources.delete(source)) return;
    this.#retired = merged([this.#retired, ended(last)]);
    this.#shared = undefined;
  }

  scalars(name: ScalarName): Iterable<readonly [Labels, number]> {
    return SCALARS[name](this.#reading());
  }

  histograms(name: HistogramName): Iterable<readonly [Labels, HistogramStats]> {
    return HISTOGRAMS[name](this.#reading());
  }

  #reading(): MetricsReading {
    if (this.#shared === undefined) {
      this.#shared = merged([this.#retired, ...[...this.#sources].map((read) => read())]);
      queueMicrotask(() => (this.#shared = undefined));
    }
    return this.#shared;
  }
}

type Series<T> = Iterable<readonly [Labels, T]>;

const ofEndpoints =
  <T>(value: (endpoint: EndpointStats) => T) =>
  ({ endpoints }: MetricsReading): Series<T> =>
    endpoints.map((endpoint) => [endpointLabels(endpoint), value(endpoint)]);
const ofRoutes =
  <T>(value: (endpoint: EndpointRouteStats) => T) =>
  ({ routes }: MetricsReading): Series<T> =>
    routes.map((endpoint) => [endpointLabels(endpoint), value(endpoint)]);
/** One series per entry of a record, under a label of its own. */
const spread =
  (label: string, entries: (endpoint: EndpointStats) => Readonly<Record<string, number>>) =>
  ({ endpoints }: MetricsReading): Series<number> =>
    endpoints.flatMap((endpoint) =>
      Object.entries(entries(endpoint)).map(([key, value]) => [{ ...endpointLabels(endpoint), [label]: key }, value] as const),
    );

const SCALARS: Record<ScalarName, (reading: MetricsReading) => Series<number>> = {
  sessions: spread(LABEL_STATE, (endpoint) => endpoint.sessions),
  sessionTransitions: ({ endpoints }) =>
    endpoints.flatMap((endpoint) =>
      endpoint.transitions.map(({ from, to, cause, count }) => {
        const labels = { ...endpointLabels(endpoint), [LABEL_STATE_FROM]: from, [LABEL_STATE_TO]: to, [LABEL_REASON]: cause };
        return [labels, count] as const;
      }),
    ),
  routesInstalled: ofRoutes((endpoint) => endpoint.installed),
  routesDesired: ({ desired }) => desired.map((endpoint) => [endpointLabels(endpoint), endpoint.count]),
  routeRestores: ofRoutes((endpoint) => endpoint.restored),
  routeRestoresDelayed: ofRoutes((endpoint) => endpoint.restoresDelayed),
  routeInstalls: ofRoutes((endpoint) => endpoint.adds),
  routeWithdraws: ofRoutes((endpoint) => endpoint.deletes),
  schedulerServiceQueueLen: ofEndpoints((endpoint) => endpoint.queued),
  schedulerEventsDropped: ofEndpoints((endpoint) => endpoint.dropped),
  schedulerTotalQueueLen: ({ queueLength }) => [[{}, queueLength]],
  routeInstallFailures: ofRoutes((endpoint) => endpoint.addFailures),
  routeUninstallFailures: ofRoutes((endpoint) => endpoint.deleteFailures),
  controlPacketsTX: ofEndpoints((endpoint) => endpoint.tx),
  // As the reference counts: every packet that can be read, whoever sent it.
  controlPacketsRX: ofEndpoints((endpoint) => endpoint.rx + endpoint.unknownPeer),
  controlPacketsRxInvalid: spread(LABEL_REASON, (endpoint) => endpoint.rxInvalid),
  unknownPeerPackets: ofEndpoints((endpoint) => endpoint.unknownPeer),
  readSocketErrors: ({ readErrors }) =>
    Object.entries(readErrors).map(([localIP, count]) => [
      { ...endpointLabels({ iface: '', localIP }), [LABEL_OPERATION]: 'read_from' },
      count,
    ]),
  writeSocketErrors: spread(LABEL_OPERATION, (endpoint) => ({ write_to: endpoint.writeErrors })),
  sendBufferBytes: (reading) => [[{}, reading.sendBufferBytes]],
  sendBufferFull: (reading) => [[{}, reading.sendBufferFull]],
  peerSessions: ({ peers }) => peers.map(({ peer, state }) => [{ ...peerLabels(peer), [LABEL_STATE]: state }, 1]),
  peerInfo: ({ peers }) =>
    peers.map(({ peer, mode = '', version = '' }) => [{ ...peerLabels(peer), [LABEL_MODE]: mode, [LABEL_VERSION]: version }, 1]),
  peerDetectTime: ({ peers }) => peers.map(({ peer, detectTime }) => [peerLabels(peer), detectTime]),
};

const HISTOGRAMS: Record<HistogramName, (reading: MetricsReading) => Series<HistogramStats>> = {
  convergenceToUp: ofRoutes((endpoint) => endpoint.convergenceToUp),
  convergenceToDown: ofRoutes((endpoint) => endpoint.convergenceToDown),
  handleRxDuration: ofEndpoints((endpoint) => endpoint.handleRx),
};

/** What stays of a manager that is closed: its counters, and nothing that says how it is now. */
function ended(last: MetricsReading): MetricsReading {
  return {
    ...last,
    endpoints: last.endpoints.map((endpoint) => ({ ...endpoint, sessions: { admin_down: 0, down: 0, init: 0, up: 0 }, queued: 0 })),
    routes: last.routes.map((endpoint) => ({ ...endpoint, installed: 0 })),
    desired: last.desired.map((endpoint) => ({ ...endpoint, count: 0 })),
    queueLength: 0,
    sendBufferBytes: 0,
    peers: [],
  };
}

function merged(readings: readonly MetricsReading[]): MetricsReading {
  const [first, ...others] = readings.filter((reading) => reading !== NOTHING);
  if (first === undefined) return NOTHING;
  return others.reduce(
    (sum, reading) => ({
      endpoints: joined(sum.endpoints, reading.endpoints, addEndpoints),
      routes: joined(sum.routes, reading.routes, addEndpointRoutes),
      desired: joined(sum.desired, reading.desired, (one, other) => ({ ...one, count: one.count + other.count })),
      ...addedNumbers(sum, reading, ['queueLength', 'sendBufferBytes', 'sendBufferFull']),
      readErrors: addRecords(sum.readErrors, reading.readErrors),
      peers: [...sum.peers, ...reading.peers],
    }),
    first,
  );
}

function joined<T extends { iface: string; localIP: string }>(one: readonly T[], other: readonly T[], add: (one: T, other: T) => T): T[] {
  const byKey = new Map(one.map((endpoint) => [`${endpoint.iface} ${endpoint.localIP}`, endpoint]));
  for (const endpoint of other) {
    const key = `${endpoint.iface} ${endpoint.localIP}`;
    const known = byKey.get(key);
    byKey.set(key, known === undefined ? endpoint : add(known, endpoint));
  }
  return [...byKey.values()];
}

function addEndpoints(one: EndpointStats, other: EndpointStats): EndpointStats {
  return {
    ...one,
    ...addedNumbers(one, other, ['tx', 'rx', 'unknownPeer', 'writeErrors', 'dropped', 'timeouts', 'extensions', 'queued']),
    sessions: addRecords(one.sessions, other.sessions),
    rxInvalid: addRecords(one.rxInvalid, other.rxInvalid),
    transitions: addTransitions([...one.transitions, ...other.transitions]),
    handleRx: addHistograms(one.handleRx, other.handleRx),
  };
}

function addEndpointRoutes(one: EndpointRouteStats, other: EndpointRouteStats): EndpointRouteStats {
  return {
    ...one,
    ...addedNumbers(one, other, ['installed', 'adds', 'addFailures', 'deletes', 'deleteFailures', 'restored', 'restoresDelayed']),
    convergenceToUp: addHistograms(one.convergenceToUp, other.convergenceToUp),
    convergenceToDown: addHistograms(one.convergenceToDown, other.convergenceToDown),
  };
}

function addedNumbers<K extends string>(one: Record<K, number>, other: Record<K, number>, names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, one[name] + other[name]])) as Record<K, number>;
}

function addRecords<K extends string>(one: Readonly<Record<K, number>>, other: Readonly<Record<K, number>>): Record<K, number> {
  const sum: Record<string, number> = { ...one };
  for (const [key, value] of Object.entries<number>(other)) sum[key] = (sum[key] ?? 0) + value;
  return sum;
}

function addTransitions(counts: readonly TransitionCount[]): TransitionCount[] {
  const byKey = new Map<string, TransitionCount>();
  for (const counted of counts) {
    const key = `${counted.from} ${counted.to} ${counted.cause}`;
    byKey.set(key, { ...counted, count: (byKey.get(key)?.count ?? 0) + counted.count });
  }
  return [...byKey.values()];
}

function addHistograms(one: HistogramStats, other: HistogramStats): HistogramStats {
  return { bounds: one.bounds, counts: one.counts.map((count, index) => count + (other.counts[index] ?? 0)), sum: one.sum + other.sum };
}
