/** The counters as the addon gives them. `crate/src/addon/statistics.rs` writes them: change both sides together. */
import { CONVERGENCE_BOUNDS, HANDLE_RX_BOUNDS, type HistogramStats } from '../../metrics/duration-histogram.js';
import { DIAGNOSTIC_COUNT } from '../../protocol/bfd/diagnostic.js';
import type { DelayBucket } from '../../protocol/delay-histogram.js';
import { State } from '../../protocol/state.js';
import type { EndpointRouteStats, EndpointStats, EngineOptions, EngineStats, TransitionCause, TransitionCount } from '../engine.js';

/** Numbers one after another, with the names that they belong to. */
export interface StatisticsNumbers {
  /** The interface and the address of each local endpoint. */
  readonly endpoints: readonly string[];
  /** As `endpoints`, of those that have armed routes. */
  readonly routeEndpoints: readonly string[];
  readonly numbers: Float64Array;
}

/** In the order of the addon's numbers. */
const STATES = [State.AdminDown, State.Down, State.Init, State.Up] as const;
const CAUSES = ['register_route', 'handle_rx', 'detect_timeout', 'admin_down'] as const satisfies readonly TransitionCause[];

export function statisticsOf({ endpoints, routeEndpoints, numbers }: StatisticsNumbers, protocol: EngineOptions['protocol']): EngineStats {
  const reader = new NumberReader(numbers);
  // The fields are read in the order of the numbers.
  const engine = {
    queueLength: reader.next(),
    readErrors: reader.next(),
    socketDrops: reader.next(),
    repeatsFiltered: reader.next(),
    sendBufferBytes: reader.next(),
    sendBufferFull: reader.next(),
    turns: reader.next(),
    worstTurnDelayUs: reader.next(),
    turnDelays: delaysOf(reader),
    transmitDelays: delaysOf(reader),
  };
  return {
    endpoints: byEndpoint(endpoints, (iface, localIP) => endpointOf(iface, localIP, reader, protocol)),
    routes: byEndpoint(routeEndpoints, (iface, localIP) => routeEndpointOf(iface, localIP, reader)),
    ...engine,
  };
}

function byEndpoint<T>(names: readonly string[], read: (iface: string, localIP: string) => T): T[] {
  const all: T[] = [];
  for (let at = 0; at < names.length; at += 2) all.push(read(names[at] ?? '', names[at + 1] ?? ''));
  return all;
}

function endpointOf(iface: string, localIP: string, reader: NumberReader, protocol: EngineOptions['protocol']): EndpointStats {
  return {
    iface,
    localIP,
    sessions: { admin_down: reader.next(), down: reader.next(), init: reader.next(), up: reader.next() },
    neverUp: reader.next(),
    tx: reader.next(),
    rx: reader.next(),
    rxInvalid: invalidOf(reader),
    unknownPeer: reader.next(),
    writeErrors: reader.next(),
    dropped: reader.next(),
    timeouts: reader.next(),
    localTimeouts: reader.next(),
    remoteDowns: reader.next(),
    localRemoteDowns: reader.next(),
    extensions: reader.next(),
    queued: reader.next(),
    transitions: transitionsOf(reader),
    localDiagnostics: diagnosticsOf(reader, protocol),
    remoteDiagnostics: diagnosticsOf(reader, protocol),
    handleRx: histogramOf(HANDLE_RX_BOUNDS, reader),
  };
}

function invalidOf(reader: NumberReader): EndpointStats['rxInvalid'] {
  return {
    short: reader.next(),
    bad_version: reader.next(),
    bad_len: reader.next(),
    bad_detect_mult: reader.next(),
    bad_discr: reader.next(),
    bad_interval: reader.next(),
    foreign_discr: reader.next(),
    bad_ttl: reader.next(),
    truncated: reader.next(),
    multipoint: reader.next(),
    poll_and_final: reader.next(),
    zero_peer_discr: reader.next(),
    unexpected_auth: reader.next(),
    missing_auth: reader.next(),
    bad_auth: reader.next(),
  };
}

/** How many sessions were added, then the transitions by their old states, new states and causes. */
function transitionsOf(reader: NumberReader): TransitionCount[] {
  const counted: TransitionCount[] = [];
  const registered = reader.next();
  if (registered > 0) counted.push({ from: 'new', to: State.Down, cause: 'register_route', count: registered });
  for (const from of STATES) {
    for (const to of STATES) {
      for (const cause of CAUSES) {
        const count = reader.next();
        if (count > 0) counted.push({ from, to, cause, count });
      }
    }
  }
  return counted;
}

/** The addon has their counters in every protocol. */
function diagnosticsOf(reader: NumberReader, protocol: EngineOptions['protocol']): number[] {
  const counts = reader.take(DIAGNOSTIC_COUNT);
  return protocol === 'bfd' ? counts : [];
}

function routeEndpointOf(iface: string, localIP: string, reader: NumberReader): EndpointRouteStats {
  return {
    iface,
    localIP,
    installed: reader.next(),
    adds: reader.next(),
    addFailures: reader.next(),
    deletes: reader.next(),
    deleteFailures: reader.next(),
    restored: reader.next(),
    restoresDelayed: reader.next(),
    convergenceToUp: histogramOf(CONVERGENCE_BOUNDS, reader),
    convergenceToDown: histogramOf(CONVERGENCE_BOUNDS, reader),
  };
}

function histogramOf(bounds: readonly number[], reader: NumberReader): HistogramStats {
  return { bounds, counts: reader.take(bounds.length + 1), sum: reader.next() };
}

function delaysOf(reader: NumberReader): DelayBucket[] {
  const buckets: DelayBucket[] = [];
  for (let left = reader.next(); left > 0; left -= 1) buckets.push({ belowUs: reader.next(), count: reader.next() });
  return buckets;
}

class NumberReader {
  readonly #numbers: Float64Array;
  #at = 0;

  constructor(numbers: Float64Array) {
    this.#numbers = numbers;
  }

  next(): number {
    const number = this.#numbers[this.#at] ?? NaN;
    this.#at += 1;
    return number;
  }

  take(count: number): number[] {
    const taken: number[] = [];
    for (let left = count; left > 0; left -= 1) taken.push(this.next());
    return taken;
  }
}
