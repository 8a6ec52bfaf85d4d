/** The counters of the JavaScript engine, per (interface, local IP). */
import type { State } from '../protocol/state.js';
import type { Counting, Path } from './core.js';
import type { InvalidReason, ScopeStats } from './engine.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] };

export class Counters implements Counting {
  readonly #scopes = new Map<string, Mutable<ScopeStats>>();

  /** The counters as they are now, copied. */
  scopes(): ScopeStats[] {
    return [...this.#scopes.values()].map((scope) => structuredClone(scope));
  }

  received(path: Path): void {
    this.#at(path).rx += 1;
  }

  sent(path: Path): void {
    this.#at(path).tx += 1;
  }

  writeError(path: Path): void {
    this.#at(path).writeErrors += 1;
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

  transition(path: Path, from: State, to: State, cause: string): void {
    const scope = this.#at(path);
    scope.sessions[from] -= 1;
    scope.sessions[to] += 1;
    if (cause === 'detect_timeout') scope.timeouts += 1;
  }

  added(path: Path): void {
    this.#at(path).sessions.admin_down += 1;
  }

  gone(path: Path, state: State): void {
    this.#at(path).sessions[state] -= 1;
  }

  /** Addresses without sessions share one scope per interface: whoever sends to them must not make the table grow. */
  #ofStranger(path: Path): Mutable<ScopeStats> {
    return this.#scopes.get(keyOf(path)) ?? this.#at({ ...path, localIP: '0.0.0.0' });
  }

  #at(path: Path): Mutable<ScopeStats> {
    const key = keyOf(path);
    const known = this.#scopes.get(key);
    if (known !== undefined) return known;
    const { iface, localIP } = path;
    const scope = {
      iface,
      localIP,
      sessions: { admin_down: 0, down: 0, init: 0, up: 0 },
      tx: 0,
      rx: 0,
      rxInvalid: { short: 0, bad_version: 0, bad_len: 0, bad_detect_mult: 0, bad_discr: 0, bad_interval: 0, foreign_discr: 0 },
      unknownPeer: 0,
      writeErrors: 0,
      timeouts: 0,
      graces: 0,
    };
    this.#scopes.set(key, scope);
    return scope;
  }
}

function keyOf({ iface, localIP }: Path): string {
  return `${iface} ${localIP}`;
}
