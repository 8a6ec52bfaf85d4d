/** The counters of the JavaScript engine, per local endpoint: an interface and an address on it. */
import { HANDLE_RX_BOUNDS, DurationHistogram } from '../../metrics/duration-histogram.js';
import { DIAGNOSTIC_COUNT } from '../../protocol/bfd/diagnostic.js';
import type { State } from '../../protocol/state.js';
import type { EndpointStats, InvalidReason, TransitionCause, TransitionCount } from '../engine.js';
import type { CoreCounters, Path, TransitionKind } from './engine-core.js';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** The counters of one endpoint. */
class Counts {
  readonly sessions: Record<State, number> = { admin_down: 0, down: 0, init: 0, up: 0 };
  readonly rxInvalid: Record<InvalidReason, number> = {
    short: 0,
    bad_version: 0,
    bad_len: 0,
    bad_detect_mult: 0,
    bad_discr: 0,
    bad_interval: 0,
    foreign_discr: 0,
    bad_ttl: 0,
    truncated: 0,
    multipoint: 0,
    poll_and_final: 0,
    zero_peer_discr: 0,
    unexpected_auth: 0,
    missing_auth: 0,
    bad_auth: 0,
  };
  readonly transitions = new Map<string, Writable<TransitionCount>>();
  readonly handleRx = new DurationHistogram(HANDLE_RX_BOUNDS);
  /** By the number of the diagnostic; empty in a protocol without. */
  localDiagnostics: number[] = [];
  remoteDiagnostics: number[] = [];
  tx = 0;
  rx = 0;
  unknownPeer = 0;
  writeErrors = 0;
  dropped = 0;
  timeouts = 0;
  localTimeouts = 0;
  remoteDowns = 0;
  localRemoteDowns = 0;
  neverUp = 0;
  extensions = 0;
  queued = 0;
  readonly #iface: string;
  readonly #localIP: string;

  constructor(iface: string, localIP: string) {
    this.#iface = iface;
    this.#localIP = localIP;
  }

  countTransition(from: TransitionCount['from'], to: State, cause: TransitionCause): void {
    const key = `${from} ${to} ${cause}`;
    const counted = this.transitions.get(key);
    if (counted === undefined) this.transitions.set(key, { from, to, cause, count: 1 });
    else counted.count += 1;
  }

  /** Counts the diagnostics of a session that went Down. Reserved numbers are not counted. */
  countDiagnostics(localDiag: number, remoteDiag: number): void {
    if (this.localDiagnostics.length === 0) {
      this.localDiagnostics = noDiagnostics();
      this.remoteDiagnostics = noDiagnostics();
    }
    increment(this.localDiagnostics, localDiag);
    increment(this.remoteDiagnostics, remoteDiag);
  }

  stats(): EndpointStats {
    const { neverUp, tx, rx, unknownPeer, writeErrors, dropped, extensions, queued } = this;
    const { timeouts, localTimeouts, remoteDowns, localRemoteDowns } = this;
    return {
      iface: this.#iface,
      localIP: this.#localIP,
      sessions: { ...this.sessions },
      neverUp,
      tx,
      rx,
      rxInvalid: { ...this.rxInvalid },
      unknownPeer,
      writeErrors,
      dropped,
      timeouts,
      localTimeouts,
      remoteDowns,
      localRemoteDowns,
      extensions,
      queued,
      transitions: [...this.transitions.values()].map((transition) => ({ ...transition })),
      localDiagnostics: [...this.localDiagnostics],
      remoteDiagnostics: [...this.remoteDiagnostics],
      handleRx: this.handleRx.stats(),
    };
  }
}

/** Whether a session that was never Up is to come Up: not if it is out of service. */
function isWaitedFor(state: State): boolean {
  return state !== 'up' && state !== 'admin_down';
}

function noDiagnostics(): number[] {
  return Array.from({ length: DIAGNOSTIC_COUNT }, () => 0);
}

function increment(counts: number[], at: number): void {
  const count = counts[at];
  if (count !== undefined) counts[at] = count + 1;
}

export class EndpointCounters implements CoreCounters {
  /** By interface and local address. */
  readonly #counts = new Map<string, Map<string, Counts>>();

  /** The present values, copied. */
  stats(): EndpointStats[] {
    return [...this.#counts.values()].flatMap((ofInterface) => [...ofInterface.values()].map((counts) => counts.stats()));
  }

  received(path: Path): void {
    this.#at(path).rx += 1;
  }

  /** Counts the handling of one received packet, which took so many seconds. */
  handled(path: Path, seconds: number): void {
    this.#atAnyAddress(path).handleRx.observe(seconds);
  }

  sent(path: Path): void {
    this.#at(path).tx += 1;
  }

  writeError(path: Path): void {
    this.#at(path).writeErrors += 1;
  }

  dropped(path: Path): void {
    this.#at(path).dropped += 1;
  }

  invalid(path: Path, reason: InvalidReason): void {
    this.#atAnyAddress(path).rxInvalid[reason] += 1;
  }

  unknownPeer(path: Path): void {
    this.#atAnyAddress(path).unknownPeer += 1;
  }

  extended(path: Path): void {
    this.#at(path).extensions += 1;
  }

  queued(path: Path, change: 1 | -1): void {
    this.#at(path).queued += change;
  }

  transition(path: Path, from: State, to: State, cause: TransitionCause, { wasNeverUp, isRemote, isLocal }: TransitionKind): void {
    const counts = this.#at(path);
    counts.sessions[from] -= 1;
    counts.sessions[to] += 1;
    if (wasNeverUp) counts.neverUp += Number(isWaitedFor(to)) - Number(isWaitedFor(from));
    if (cause === 'detect_timeout') counts.timeouts += 1;
    if (cause === 'detect_timeout' && isLocal) counts.localTimeouts += 1;
    if (isRemote) counts.remoteDowns += 1;
    if (isRemote && isLocal) counts.localRemoteDowns += 1;
    counts.countTransition(from, to, cause);
  }

  diagnosed(path: Path, localDiag: number, remoteDiag: number): void {
    this.#at(path).countDiagnostics(localDiag, remoteDiag);
  }

  added(path: Path): void {
    const counts = this.#at(path);
    counts.sessions.down += 1;
    counts.neverUp += 1;
    counts.countTransition('new', 'down', 'register_route');
  }

  removed(path: Path, state: State, wasUp: boolean): void {
    const counts = this.#at(path);
    counts.sessions[state] -= 1;
    if (!wasUp && isWaitedFor(state)) counts.neverUp -= 1;
  }

  /** Addresses without sessions share the endpoint `0.0.0.0` of their interface: senders must not be able to grow the table. */
  #atAnyAddress(path: Path): Counts {
    return this.#counts.get(path.iface)?.get(path.localIP) ?? this.#at({ ...path, localIP: '0.0.0.0' });
  }

  #at({ iface, localIP }: Path): Counts {
    return this.#counts.get(iface)?.get(localIP) ?? this.#newCounts(iface, localIP);
  }

  #newCounts(iface: string, localIP: string): Counts {
    const ofInterface = this.#counts.get(iface) ?? new Map<string, Counts>();
    const counts = new Counts(iface, localIP);
    this.#counts.set(iface, ofInterface.set(localIP, counts));
    return counts;
  }
}
