/** The statistics that users see. */
import type { EngineStats, EndpointRouteStats, EndpointStats } from '../engine/engine.js';
import type { DelayBucket } from '../protocol/delay-histogram.js';

/** Counters of engine and routes. Counters never decrease. */
export interface ManagerStats {
  /** Per interface and local address; packets to addresses without sessions are counted under `0.0.0.0`. */
  readonly endpoints: readonly EndpointStats[];
  readonly routes: {
    readonly registered: number;
    readonly installed: number;
    /** Per interface and local address. */
    readonly endpoints: readonly EndpointRouteStats[];
  };
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queueLength: number;
  readonly readErrors: number;
  /**
   * Datagrams dropped because a buffer was full, by the kernel or by a transport of your own that counts them (`dropped`). From
   * an overflow until a second without drops, also datagrams that the socket filter rejects: those that are no packet of a peer.
   */
  readonly socketDrops: number;
  /** Packets that the filter in the kernel took in (`filterRepeats`). The kernel counts them as errors of UDP (InErrors). */
  readonly repeatsFiltered: number;
  /**
   * The size of the socket's send buffer in bytes; of the smallest one if the engine has several sockets. 0 with a transport of
   * your own, or before a socket is open.
   */
  readonly sendBufferBytes: number;
  /** How often the send buffer was full: packets wait for neighbours that do not answer, or for their device. */
  readonly sendBufferFull: number;
  /** How often the engine woke up. */
  readonly turns: number;
  /** The longest delay of a turn so far, in milliseconds. */
  readonly worstTurnDelay: number;
  /** How late turns began, compared with the deadline that they were for: the scheduling delay of this host. */
  readonly turnDelays: DelayDistribution;
  /** How late packets were passed to the system, compared with their due times; early ones count as 0. */
  readonly transmitDelays: DelayDistribution;
}

/**
 * Counts by delay. Each entry has the number of delays below `below` milliseconds and not below that of the previous entry. A
 * bucket is at most an eighth wide. Empty buckets are left out.
 */
export type DelayDistribution = readonly { readonly below: number; readonly count: number }[];

export function toStats(engine: EngineStats, registered: number, routeStats: readonly EndpointRouteStats[]): ManagerStats {
  const installed = routeStats.reduce((sum, endpoint) => sum + endpoint.installed, 0);
  const routes = { registered, installed, endpoints: routeStats };
  const { endpoints, queueLength, readErrors, socketDrops, repeatsFiltered, sendBufferBytes, sendBufferFull, turns } = engine;
  return {
    endpoints,
    routes,
    queueLength,
    readErrors,
    socketDrops,
    repeatsFiltered,
    sendBufferBytes,
    sendBufferFull,
    turns,
    worstTurnDelay: engine.worstTurnDelayUs / 1_000,
    turnDelays: toHistogram(engine.turnDelays),
    transmitDelays: toHistogram(engine.transmitDelays),
  };
}

function toHistogram(buckets: readonly DelayBucket[]): DelayDistribution {
  return buckets.map(({ belowUs, count }) => ({ below: belowUs / 1_000, count }));
}
