/** Counters, as users get them. */
import type { EngineStats, RouteScopeStats, ScopeStats } from '../engine/engine.js';
import type { LatenessBucket } from '../protocol/delay-histogram.js';

/** What engine and routes have done so far. Counters never fall. */
export interface ManagerStats {
  /** Per (interface, local IP); packets to addresses without sessions are counted under `0.0.0.0`. */
  readonly scopes: readonly ScopeStats[];
  readonly routes: {
    readonly registered: number;
    readonly installed: number;
    /** Per (interface, local IP). */
    readonly scopes: readonly RouteScopeStats[];
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
  readonly worstLateness: number;
  /** How late turns were against the deadlines that they were meant for: what this host's scheduler costs. */
  readonly turnLateness: LatenessHistogram;
  /** How late packets were handed to the system against their due times; early ones, within their jitter, count as punctual. */
  readonly transmitLateness: LatenessHistogram;
}

/**
 * Counts by lateness, exact to an eighth: each entry says how many lie below `below` milliseconds and not below the entry
 * before. Empty ones are left out.
 */
export type LatenessHistogram = readonly { readonly below: number; readonly count: number }[];

export function toStats(engine: EngineStats, registered: number, routeScopes: readonly RouteScopeStats[]): ManagerStats {
  const installed = routeScopes.reduce((sum, scope) => sum + scope.installed, 0);
  const routes = { registered, installed, scopes: routeScopes };
  const { scopes, queueLength, readErrors, socketDrops, sendBufferBytes, sendBufferFull, turns, worstLatenessUs } = engine;
  return {
    scopes,
    routes,
    queueLength,
    readErrors,
    socketDrops,
    sendBufferBytes,
    sendBufferFull,
    turns,
    worstLateness: worstLatenessUs / 1_000,
    turnLateness: toHistogram(engine.turnLateness),
    transmitLateness: toHistogram(engine.transmitLateness),
  };
}

function toHistogram(buckets: readonly LatenessBucket[]): LatenessHistogram {
  return buckets.map(({ belowUs, count }) => ({ below: belowUs / 1_000, count }));
}
