/** The counters of the JavaScript engine, per (interface, local IP). */
import { HANDLE_RX_BOUNDS, Histogram } from '../../metrics/histogram.js';
import type { State } from '../../protocol/state.js';
import type { Counting, Path } from './engine-core.js';
import type { InvalidReason, ScopeStats, TransitionCause, TransitionCount } from '../engine.js';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What is counted of one scope. */
class Scope {
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
  };
  readonly transitions = new Map<string, Writable<TransitionCount>>();
  readonly handleRx = new Histogram(HANDLE_RX_BOUNDS);
  tx = 0;
  rx = 0;
  unknownPeer = 0;
  writeErrors = 0;
  dropped = 0;
  timeouts = 0;
  graces = 0;
  queued = 0;
  readonly #iface: string;
  readonly #localIP: string;

  constructor(iface: string, localIP: string) {
    this.#iface = iface;
    this.#localIP = localIP;
  }

  count(from: TransitionCount['from'], to: State, cause: TransitionCause): void {
    const key = `${from} ${to} ${cause}`;
    const counted = this.transitions.get(key);
    if (counted === undefined) this.transitions.set(key, { from, to, cause, count: 1 });
    else counted.count += 1;
  }

  stats(): ScopeStats {
    const { tx, rx, unknownPeer, writeErrors, dropped, timeouts, graces, queued } = this;
    return {
      iface: this.#iface,
      localIP: this.#localIP,
      sessions: { ...this.sessions },
      tx,
      rx,
      rxInvalid: { ...this.rxInvalid },
      unknownPeer,
      writeErrors,
      dropped,
      timeouts,
      graces,
      queued,
      transitions: [...this.transitions.values()].map((transition) => ({ ...transition })),
      handleRx: this.handleRx.stats(),
    };
  }
}

export class Counters implements Counting {
  /** By interface and local address. */
  readonly #scopes = new Map<string, Map<string, Scope>>();

  /** The counters as they are now, copied. */
  scopes(): ScopeStats[] {
    return [...this.#scopes.values()].flatMap((ofInterface) => [...ofInterface.values()].map((scope) => scope.stats()));
  }

  received(path: Path): void {
    this.#at(path).rx += 1;
  }

  /** A received packet was handled in so many seconds. */
  handled(path: Path, seconds: number): void {
    this.#ofStranger(path).handleRx.observe(seconds);
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
    this.#ofStranger(path).rxInvalid[reason] += 1;
  }

  unknownPeer(path: Path): void {
    this.#ofStranger(path).unknownPeer += 1;
  }

  grace(path: Path): void {
    this.#at(path).graces += 1;
  }

  queued(path: Path, change: 1 | -1): void {
    this.#at(path).queued += change;
  }

  transition(path: Path, from: State, to: State, cause: TransitionCause): void {
    const scope = this.#at(path);
    scope.sessions[from] -= 1;
    scope.sessions[to] += 1;
    if (cause === 'detect_timeout') scope.timeouts += 1;
    scope.count(from, to, cause);
  }

  added(path: Path): void {
    const scope = this.#at(path);
    scope.sessions.down += 1;
    scope.count('new', 'down', 'register_route');
  }

  gone(path: Path, state: State): void {
    this.#at(path).sessions[state] -= 1;
  }

  /** Addresses without sessions share one scope per interface: whoever sends to them must not make the table grow. */
  #ofStranger(path: Path): Scope {
    return this.#scopes.get(path.iface)?.get(path.localIP) ?? this.#at({ ...path, localIP: '0.0.0.0' });
  }

  #at({ iface, localIP }: Path): Scope {
    return this.#scopes.get(iface)?.get(localIP) ?? this.#newScope(iface, localIP);
  }

  #newScope(iface: string, localIP: string): Scope {
    const ofInterface = this.#scopes.get(iface) ?? new Map<string, Scope>();
    const scope = new Scope(iface, localIP);
    this.#scopes.set(iface, ofInterface.set(localIP, scope));
    return scope;
  }
}
