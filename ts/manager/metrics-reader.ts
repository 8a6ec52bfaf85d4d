/** Reads what one manager shows to Prometheus. */
import { addressText } from '../base/address.js';
import type { Environment } from '../base/environment.js';
import { VERSION } from '../base/version.js';
import type { EndpointRouteStats, Engine, EngineStats } from '../engine/engine.js';
import { type HistogramStats, TURN_DELAY_BOUNDS } from '../metrics/duration-histogram.js';
import { modeOf, versionOf } from '../protocol/session-status.js';
import type { RouteInstaller } from '../routes/installer.js';
import { boundAddresses } from './bound-addresses.js';
import type { ResolvedConfig } from './config.js';
import type { Maintenance } from './maintenance.js';
import { type CountedRoutes, type MetricsReading, NO_ROUTES, NOTHING, type PeerReading } from './metrics-feed.js';
import type { RouteRegistry } from './route-registry.js';
import { ShownEndpoints, UNKNOWN_PEERS } from './shown-endpoints.js';

export interface MetricsReaderDependencies {
  readonly engine: Engine;
  readonly installer: RouteInstaller;
  readonly registry: RouteRegistry;
  readonly maintenance: Maintenance;
  readonly config: ResolvedConfig;
  readonly environment: Environment;
}

export class MetricsReader {
  readonly #dependencies: MetricsReaderDependencies;
  readonly #shownEndpoints: ShownEndpoints;
  #last: MetricsReading | undefined;
  #showsPeers: boolean;

  constructor(dependencies: MetricsReaderDependencies) {
    this.#dependencies = dependencies;
    this.#shownEndpoints = new ShownEndpoints(dependencies.environment);
    this.#showsPeers = dependencies.config.enablePeerMetrics;
  }

  /** The present values; the last ones if the engine has stopped. Never throws. */
  read(): MetricsReading {
    try {
      this.#last = this.#toReading(this.#dependencies.engine.stats());
    } catch {
      this.#last ??= NOTHING;
    }
    return this.#last;
  }

  /** Ends the series per peer: the manager closes. */
  hidePeers(): void {
    this.#showsPeers = false;
  }

  /** The last reading of all, from the statistics that a closed engine left, if it left some. */
  final(stats: EngineStats | undefined): MetricsReading {
    return stats === undefined ? (this.#last ?? NOTHING) : this.#toReading(stats);
  }

  #toReading(stats: EngineStats): MetricsReading {
    const { endpoints, queueLength, sendBufferBytes, sendBufferFull, readErrors } = stats;
    const { engine, installer, config } = this.#dependencies;
    const routes = [...stats.routes, ...installer.stats()];
    const counted = this.#countedRoutes(endpoints, routes);
    const active = [
      ...endpoints.filter(({ sessions }) => sessions.admin_down + sessions.down + sessions.init + sessions.up > 0),
      ...routes.filter(({ installed }) => installed > 0),
      ...counted.filter(({ desired, retrying, held, suppressed, onNone }) => desired + retrying + held + suppressed + onNone > 0),
    ];
    const isShown = this.#shownEndpoints.update(active, [...endpoints, ...routes]);
    return {
      endpoints: endpoints.filter(isShown),
      routes: routes.filter(isShown),
      counted: counted.filter(isShown),
      builds: [{ version: VERSION, engine: engine.kind, protocol: config.protocol }],
      turnDelay: turnDelayOf(stats),
      worstTurnDelay: stats.worstTurnDelayUs / 1_000_000,
      socketDrops: stats.socketDrops,
      repeatsFiltered: stats.repeatsFiltered,
      queueLength,
      sendBufferBytes,
      sendBufferFull,
      readErrors: { [boundAddresses(config)[0] ?? '']: readErrors },
      peers: this.#showsPeers ? this.#peers() : [],
    };
  }

  #peers(): PeerReading[] {
    const { engine, registry } = this.#dependencies;
    return engine.snapshots().flatMap((reading) => {
      const session = registry.sessionById(reading.id);
      if (session === undefined) return [];
      const { state, detectTimeUs, peerPassive } = reading;
      const [mode, version] = [modeOf(peerPassive), versionOf(reading)];
      return { peer: session.peer, state, detectTime: detectTimeUs / 1_000_000, mode, version };
    });
  }

  /**
   * By local endpoint; zeros for an endpoint that has sessions and no routes. A scrape must not cost more the more routes there
   * are.
   */
  #countedRoutes(endpoints: EngineStats['endpoints'], routes: readonly EndpointRouteStats[]): CountedRoutes[] {
    const { registry, installer, maintenance, config } = this.#dependencies;
    const counted = new Map<string, Writable<CountedRoutes>>();
    const at = ({ iface, localIP }: { iface: string; localIP: string }): Writable<CountedRoutes> => {
      const key = `${iface} ${localIP}`;
      const known = counted.get(key) ?? { iface, localIP, ...NO_ROUTES };
      counted.set(key, known);
      return known;
    };
    for (const endpoint of endpoints) if (endpoint.localIP !== UNKNOWN_PEERS) at(endpoint);
    for (const { iface, localIP, routes } of registry.endpoints()) {
      const { registered, desired } = routes;
      if (registered > 0) Object.assign(at({ iface, localIP }), { desired: config.passiveMode ? registered : desired, onNone: registered });
    }
    for (const { installed, ...endpoint } of routes) {
      if (installed === 0) continue;
      const counts = at(endpoint);
      counts.onPrimary += installed;
      counts.onNone = Math.max(counts.onNone - installed, 0);
    }
    for (const { iface, source } of installer.onBackup()) {
      const counts = at({ iface, localIP: addressText(source) });
      counts.onBackup += 1;
      counts.onPrimary = Math.max(counts.onPrimary - 1, 0);
    }
    for (const { iface, source } of installer.retrying()) at({ iface, localIP: addressText(source) }).retrying += 1;
    for (const { iface, source } of installer.suppressed()) at({ iface, localIP: addressText(source) }).suppressed += 1;
    if (maintenance.isActive) {
      for (const route of registry.routes()) {
        const isHeld = !route.session.up && maintenance.heldUntil(route.session.id) !== undefined && installer.status(route).installed;
        if (isHeld) at(route.session).held += 1;
      }
    }
    return [...counted.values()];
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function turnDelayOf({ turnDelays }: EngineStats): HistogramStats {
  const counts = new Array<number>(TURN_DELAY_BOUNDS.length + 1).fill(0);
  let sum = 0;
  for (const { belowUs, count } of turnDelays) {
    const seconds = belowUs / 1_000_000;
    const bucket = TURN_DELAY_BOUNDS.findIndex((bound) => seconds <= bound);
    const at = bucket < 0 ? TURN_DELAY_BOUNDS.length : bucket;
    counts[at] = (counts[at] ?? 0) + count;
    sum += seconds * count;
  }
  return { bounds: TURN_DELAY_BOUNDS, counts, sum };
}
