/** Reads what one manager shows to Prometheus. */
import type { Environment } from '../base/environment.js';
import type { Engine, EngineStats } from '../engine/engine.js';
import { modeOf, versionOf } from '../protocol/session-status.js';
import type { RouteInstaller } from '../routes/installer.js';
import { boundAddresses } from './bound-addresses.js';
import type { ResolvedConfig } from './config.js';
import { type DesiredRoutes, type MetricsReading, NOTHING, type PeerReading } from './metrics-feed.js';
import type { RouteRegistry } from './route-registry.js';
import { ShownEndpoints, UNKNOWN_PEERS } from './shown-endpoints.js';

export interface MetricsReaderDependencies {
  readonly engine: Engine;
  readonly installer: RouteInstaller;
  readonly registry: RouteRegistry;
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
    const { installer, config } = this.#dependencies;
    const routes = [...stats.routes, ...installer.stats()];
    const desired = this.#desiredRoutes(endpoints);
    const active = [
      ...endpoints.filter(({ sessions }) => sessions.admin_down + sessions.down + sessions.init + sessions.up > 0),
      ...routes.filter(({ installed }) => installed > 0),
      ...desired.filter(({ count }) => count > 0),
    ];
    const isShown = this.#shownEndpoints.update(active, [...endpoints, ...routes]);
    return {
      endpoints: endpoints.filter(isShown),
      routes: routes.filter(isShown),
      desired: desired.filter(isShown),
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

  /** By local endpoint; 0 for an endpoint that has sessions and no routes. */
  #desiredRoutes(endpoints: EngineStats['endpoints']): DesiredRoutes[] {
    const { registry, config } = this.#dependencies;
    const counts = new Map<string, { iface: string; localIP: string; count: number }>();
    const countOf = ({ iface, localIP }: { iface: string; localIP: string }): { count: number } => {
      const key = `${iface} ${localIP}`;
      const counted = counts.get(key) ?? { iface, localIP, count: 0 };
      counts.set(key, counted);
      return counted;
    };
    for (const endpoint of endpoints) if (endpoint.localIP !== UNKNOWN_PEERS) countOf(endpoint);
    for (const { session, adminDown, withdrawing } of registry.routes()) {
      const isDesired = !withdrawing && (config.passiveMode || (session.up && !adminDown));
      countOf(session).count += Number(isDesired);
    }
    return [...counts.values()];
  }
}
