/** EndpointCounters, as users get them. */
import type { EngineStats, EndpointRouteStats, EndpointStats } from '../engine/engine.js';
import type { DelayBucket } from '../protocol/delay-histogram.js';

/** What engine and routes have done so far. EndpointCounters never fall. */
export interface ManagerStats {
  /** Per (interface, local IP); packets to addresses without sessions are counted under `0.0.0.0`. */
  readonly endpoints: readonly EndpointStats[];
  readonly routes: {
    readonly registered: number;
    readonly installed: number;
    /** Per (interface, local IP). */
    readonly endpoints: readonly EndpointRouteStats[];
  };
  /** Entries in the scheduler's queue: at most two per session. */
  readonly queueLength: number;
  readonly readErrors: number;
  /**
   * Datagrams that the kernel, or a transport of your own that counts them (`dropped`), dropped because the buffer was full; and those that are no packet of a peer's, from such
   * an overflow until a second without drops.
   */
  readonly socketDrops: number;
  /**
   * How much the system lets wait to be sent, in bytes: the size of the socket's send buffer, of the smallest where the engine
   * has several. 0 where the transport is the user's, or no socket is open yet.
   */
  readonly sendBufferBytes: number;
  /** How often there was no room in the send buffer: packets wait for neighbours that do not answer, or for their device. */
  readonly sendBufferFull: number;
  /** How often the engine woke up. */
  readonly turns: number;
  /** The worst lateness of a turn so far, in milliseconds. */
  readonly worstTurnDelay: number;
  /** How late turns were against the deadlines that they were meant for: what this host's scheduler costs. */
  readonly turnDelays: DelayDistribution;
  /** How late packets were handed to the system against their due times; early ones, within their jitter, count as punctual. */
  readonly transmitDelays: DelayDistribution;
}

/**
 * Counts by lateness, exact to an eighth: each entry says how many lie below `below` milliseconds and not below the entry
 * before. Empty ones are left out.
 */
export type DelayDistribution = readonly { readonly below: number; readonly count: number }[];

export function toStats(engine: EngineStats, registered: number, routeStats: readonly EndpointRouteStats[]): ManagerStats {
  const installed = routeStats.reduce((sum, endpoint) => sum + endpoint.installed, 0);
  const routes = { registered, installed, endpoints: routeStats };
  const { endpoints, queueLength, readErrors, socketDrops, sendBufferBytes, sendBufferFull, turns, worstTurnDelayUs } = engine;
  return {
    endpoints,
    routes,
    queueLength,
    readErrors,
    socketDrops,
    sendBufferBytes,
    sendBufferFull,
    turns,
    worstTurnDelay: worstTurnDelayUs / 1_000,
    turnDelays: toHistogram(engine.turnDelays),
    transmitDelays: toHistogram(engine.transmitDelays),
  };
}

function toHistogram(buckets: readonly DelayBucket[]): DelayDistribution {
  return buckets.map(({ belowUs, count }) => ({ below: belowUs / 1_000, count }));
}
