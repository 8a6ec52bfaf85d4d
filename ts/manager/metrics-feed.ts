/**
 * Feeds the collectors of a registry from its managers. Each scrape reads each manager once, for all collectors. Managers with
 * one registry and prefix share the collectors: values with equal labels are added, and the totals of closed managers are kept,
 * so that counters never decrease.
 */

import type { EndpointRouteStats, EndpointStats, TransitionCount } from '../engine/engine.js';
import { ConfigError, messageOf } from '../base/errors.js';
import type { HistogramStats } from '../metrics/duration-histogram.js';
import {
  type HistogramName,
  LABEL_CAUSE,
  LABEL_LEG,
  LABEL_DIAGNOSTIC,
  LABEL_DIRECTION,
  LABEL_ENGINE,
  LABEL_MODE,
  LABEL_OPERATION,
  LABEL_PROTOCOL,
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
import { type MetricsRegistry, promClient } from '../metrics/prom-client.js';
import { diagnosticFromWire } from '../protocol/bfd/diagnostic.js';
import type { State } from '../protocol/state.js';
import type { Peer } from '../base/route.js';

/** The per-peer series of one session. */
export interface PeerReading {
  readonly peer: Readonly<Peer>;
  readonly state: State;
  /** In seconds. */
  readonly detectTime: number;
  /** The peer's mode; `undefined` before its first packet. */
  readonly mode: 'active' | 'passive' | undefined;
  readonly version: string | undefined;
}

/** The numbers of routes of one local endpoint. */
export interface CountedRoutes {
  readonly iface: string;
  readonly localIP: string;
  /** They have to be installed. */
  readonly desired: number;
  /** Their last operation failed, and they wait for a retry. */
  readonly retrying: number;
  /** Installed although their session is not Up, since it is held. */
  readonly held: number;
  /** Not installed although their session is Up, since it flapped. */
  readonly suppressed: number;
  /** All of them by what they run on. */
  readonly onPrimary: number;
  readonly onBackup: number;
  readonly onNone: number;
}

const COUNTS_OF_ROUTES = ['desired', 'retrying', 'held', 'suppressed', 'onPrimary', 'onBackup', 'onNone'] as const;

/** The counts of an endpoint without routes. */
export const NO_ROUTES = Object.freeze({ desired: 0, retrying: 0, held: 0, suppressed: 0, onPrimary: 0, onBackup: 0, onNone: 0 });

/** A manager in words. */
export interface BuildInfo {
  readonly version: string;
  readonly engine: string;
  readonly protocol: string;
}

/** The values of one manager at one time. */
export interface MetricsReading {
  readonly endpoints: readonly EndpointStats[];
  readonly routes: readonly EndpointRouteStats[];
  readonly counted: readonly CountedRoutes[];
  readonly builds: readonly BuildInfo[];
  /** How late turns began; the sum counts each delay as the upper bound of its bucket. */
  readonly turnDelay: HistogramStats | undefined;
  /** In seconds. */
  readonly worstTurnDelay: number;
  readonly socketDrops: number;
  readonly repeatsFiltered: number;
  readonly queueLength: number;
  readonly sendBufferBytes: number;
  readonly sendBufferFull: number;
  /** By the first address that the manager is bound to: a failed read belongs to no interface. */
  readonly readErrors: Readonly<Record<string, number>>;
  readonly peers: readonly PeerReading[];
}

/** Reads one manager. Never throws, since that would fail the whole scrape. */
export type MetricsSource = () => MetricsReading;

export const NOTHING: MetricsReading = {
  endpoints: [],
  routes: [],
  counted: [],
  builds: [],
  turnDelay: undefined,
  worstTurnDelay: 0,
  socketDrops: 0,
  repeatsFiltered: 0,
  queueLength: 0,
  sendBufferBytes: 0,
  sendBufferFull: 0,
  readErrors: {},
  peers: [],
};

const feeds = new WeakMap<MetricsRegistry, Map<string, RegistryFeed>>();

/**
 * @throws ConfigError if the registry has a metric with one of our names; LivenessError `ERR_METRICS_UNAVAILABLE` without
 * prom-client
 */
export function checkRegistry(registry: MetricsRegistry, prefix: string): void {
  promClient();
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

/** Shows a manager on a registry. The returned function ends that, with the last reading of the manager. */
export function showMetrics(registry: MetricsRegistry, prefix: string, source: MetricsSource): (last: MetricsReading) => void {
  const feed = knownFeed(registry, prefix) ?? newFeed(registry, prefix);
  feed.add(source);
  return (last) => feed.retire(source, last);
}

/** The feed of a registry and prefix; `undefined` if the registry was cleared and has lost our metrics. */
function knownFeed(registry: MetricsRegistry, prefix: string): RegistryFeed | undefined {
  const feed = feeds.get(registry)?.get(prefix);
  if (feed === undefined) return undefined;
  const known = fromRegistry(() => registry.getSingleMetric(prometheusName('schedulerTotalQueueLen', prefix)));
  return known === undefined ? undefined : feed;
}

/** Calls the user's registry. @throws ConfigError if it throws */
function fromRegistry<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new ConfigError([{ path: 'metricsRegistry', message: `\`metricsRegistry\` failed: ${messageOf(cause)}` }], { cause });
  }
}

function newFeed(registry: MetricsRegistry, prefix: string): RegistryFeed {
  const feed = new RegistryFeed();
  fromRegistry(() => new ManagerMetrics({ prefix }, feed).register(registry));
  const ofRegistry = feeds.get(registry) ?? new Map<string, RegistryFeed>();
  feeds.set(registry, ofRegistry.set(prefix, feed));
  return feed;
}

class RegistryFeed implements MetricsFeed {
  readonly #sources = new Set<MetricsSource>();
  #retired = NOTHING;
  /** The reading of the present scrape: a scrape calls all collectors in one turn of the event loop. */
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
const ofCounted =
  (value: (endpoint: CountedRoutes) => number) =>
  ({ counted }: MetricsReading): Series<number> =>
    counted.map((endpoint) => [endpointLabels(endpoint), value(endpoint)]);
/** One series per entry of a record, with the key as a label. */
const spread =
  (label: string, entries: (endpoint: EndpointStats) => Readonly<Record<string, number>>) =>
  ({ endpoints }: MetricsReading): Series<number> =>
    endpoints.flatMap((endpoint) =>
      Object.entries(entries(endpoint)).map(([key, value]) => [{ ...endpointLabels(endpoint), [label]: key }, value] as const),
    );

/** Without those that never happened. */
function diagnosticsOf(endpoint: EndpointStats, direction: string, counts: readonly number[]): (readonly [Labels, number])[] {
  return counts.flatMap((count, wire) => {
    const labels = { ...endpointLabels(endpoint), [LABEL_DIRECTION]: direction, [LABEL_DIAGNOSTIC]: diagnosticFromWire(wire) };
    return count === 0 ? [] : [[labels, count] as const];
  });
}

/** One series for each kind of manager, with their number. */
function buildSeries(builds: readonly BuildInfo[]): (readonly [Labels, number])[] {
  const counts = new Map<string, { labels: Labels; count: number }>();
  for (const { version, engine, protocol } of builds) {
    const labels = { [LABEL_VERSION]: version, [LABEL_ENGINE]: engine, [LABEL_PROTOCOL]: protocol };
    const key = JSON.stringify(labels);
    counts.set(key, { labels, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()].map(({ labels, count }) => [labels, count] as const);
}

const SCALARS: Record<ScalarName, (reading: MetricsReading) => Series<number>> = {
  sessions: spread(LABEL_STATE, (endpoint) => endpoint.sessions),
  sessionTransitions: ({ endpoints }) =>
    endpoints.flatMap((endpoint) =>
      endpoint.transitions.map(({ from, to, cause, count }) => {
        const labels = { ...endpointLabels(endpoint), [LABEL_STATE_FROM]: from, [LABEL_STATE_TO]: to, [LABEL_REASON]: cause };
        return [labels, count] as const;
      }),
    ),
  sessionDiagnostics: ({ endpoints }) =>
    endpoints.flatMap((endpoint) => [
      ...diagnosticsOf(endpoint, 'sent', endpoint.localDiagnostics),
      ...diagnosticsOf(endpoint, 'received', endpoint.remoteDiagnostics),
    ]),
  routesInstalled: ofRoutes((endpoint) => endpoint.installed),
  routesDesired: ofCounted((endpoint) => endpoint.desired),
  routesRetrying: ofCounted((endpoint) => endpoint.retrying),
  routesHeld: ofCounted((endpoint) => endpoint.held),
  routesSuppressed: ofCounted((endpoint) => endpoint.suppressed),
  routeLegs: ({ counted }) =>
    counted.flatMap((endpoint) => {
      const legs = { primary: endpoint.onPrimary, backup: endpoint.onBackup, none: endpoint.onNone };
      return Object.entries(legs).map(([leg, count]) => [{ ...endpointLabels(endpoint), [LABEL_LEG]: leg }, count] as const);
    }),
  sessionsNeverUp: ofEndpoints((endpoint) => endpoint.neverUp),
  sessionTimeouts: spread(LABEL_CAUSE, ({ timeouts, localTimeouts }) => ({ peer: timeouts - localTimeouts, local: localTimeouts })),
  sessionRemoteDowns: spread(LABEL_CAUSE, ({ remoteDowns, localRemoteDowns }) => ({
    peer: remoteDowns - localRemoteDowns,
    local: localRemoteDowns,
  })),
  buildInfo: ({ builds }) => buildSeries(builds),
  worstTurnDelay: ({ worstTurnDelay }) => [[{}, worstTurnDelay]],
  socketDrops: ({ socketDrops }) => [[{}, socketDrops]],
  repeatsFiltered: ({ repeatsFiltered }) => [[{}, repeatsFiltered]],
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
  // As in the reference: every well-formed packet, of any sender.
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
  turnDelay: ({ turnDelay }) => (turnDelay === undefined ? [] : [[{}, turnDelay]]),
};

/** The counters of a closed manager, with its gauges at 0. */
function ended(last: MetricsReading): MetricsReading {
  return {
    ...last,
    endpoints: last.endpoints.map((endpoint) => ({
      ...endpoint,
      sessions: { admin_down: 0, down: 0, init: 0, up: 0 },
      neverUp: 0,
      queued: 0,
    })),
    routes: last.routes.map((endpoint) => ({ ...endpoint, installed: 0 })),
    counted: last.counted.map((endpoint) => ({ ...endpoint, ...NO_ROUTES })),
    builds: [],
    worstTurnDelay: 0,
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
      counted: joined(sum.counted, reading.counted, (left, right) => ({
        ...left,
        ...addedNumbers(left, right, COUNTS_OF_ROUTES),
      })),
      builds: [...sum.builds, ...reading.builds],
      turnDelay:
        sum.turnDelay && reading.turnDelay ? addHistograms(sum.turnDelay, reading.turnDelay) : (sum.turnDelay ?? reading.turnDelay),
      worstTurnDelay: Math.max(sum.worstTurnDelay, reading.worstTurnDelay),
      ...addedNumbers(sum, reading, ['queueLength', 'sendBufferBytes', 'sendBufferFull', 'socketDrops', 'repeatsFiltered']),
      readErrors: addRecords(sum.readErrors, reading.readErrors),
      peers: [...sum.peers, ...reading.peers],
    }),
    first,
  );
}

function joined<T extends { iface: string; localIP: string }>(left: readonly T[], right: readonly T[], add: (left: T, right: T) => T): T[] {
  const byKey = new Map(left.map((endpoint) => [`${endpoint.iface} ${endpoint.localIP}`, endpoint]));
  for (const endpoint of right) {
    const key = `${endpoint.iface} ${endpoint.localIP}`;
    const known = byKey.get(key);
    byKey.set(key, known === undefined ? endpoint : add(known, endpoint));
  }
  return [...byKey.values()];
}

const ADDED_OF_ENDPOINTS = [
  'neverUp',
  'tx',
  'rx',
  'unknownPeer',
  'writeErrors',
  'dropped',
  'timeouts',
  'localTimeouts',
  'remoteDowns',
  'localRemoteDowns',
  'extensions',
  'queued',
] as const;

function addEndpoints(left: EndpointStats, right: EndpointStats): EndpointStats {
  return {
    ...left,
    ...addedNumbers(left, right, ADDED_OF_ENDPOINTS),
    sessions: addRecords(left.sessions, right.sessions),
    rxInvalid: addRecords(left.rxInvalid, right.rxInvalid),
    transitions: addTransitions([...left.transitions, ...right.transitions]),
    localDiagnostics: addCounts(left.localDiagnostics, right.localDiagnostics),
    remoteDiagnostics: addCounts(left.remoteDiagnostics, right.remoteDiagnostics),
    handleRx: addHistograms(left.handleRx, right.handleRx),
  };
}

function addEndpointRoutes(left: EndpointRouteStats, right: EndpointRouteStats): EndpointRouteStats {
  return {
    ...left,
    ...addedNumbers(left, right, ['installed', 'adds', 'addFailures', 'deletes', 'deleteFailures', 'restored', 'restoresDelayed']),
    convergenceToUp: addHistograms(left.convergenceToUp, right.convergenceToUp),
    convergenceToDown: addHistograms(left.convergenceToDown, right.convergenceToDown),
  };
}

function addedNumbers<K extends string>(left: Record<K, number>, right: Record<K, number>, names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, left[name] + right[name]])) as Record<K, number>;
}

function addRecords<K extends string>(left: Readonly<Record<K, number>>, right: Readonly<Record<K, number>>): Record<K, number> {
  const sum: Record<string, number> = { ...left };
  for (const [key, value] of Object.entries<number>(right)) sum[key] = (sum[key] ?? 0) + value;
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

function addCounts(left: readonly number[], right: readonly number[]): number[] {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => (left[index] ?? 0) + (right[index] ?? 0));
}

function addHistograms(left: HistogramStats, right: HistogramStats): HistogramStats {
  return { bounds: left.bounds, counts: left.counts.map((count, index) => count + (right.counts[index] ?? 0)), sum: left.sum + right.sum };
}
