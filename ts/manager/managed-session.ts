/** One session and the routes that it speaks for. */
import { addressToText } from '../base/address.js';
import type { SessionId, SessionRecord, SessionSpec, SessionTimers } from '../engine/engine.js';
import type { SessionView } from '../routes/installer.js';
import type { Peer } from '../base/route.js';
import type { RouteEntry } from './managed-route.js';
import type { Scope } from './local-endpoint.js';

export class Session implements SessionView, SessionSpec {
  readonly id: SessionId;
  readonly scope: Scope;
  /** The peer's address. */
  readonly address: number;
  peerPort: number;
  timers: SessionTimers;
  up = false;
  turn: SessionView['turn'] = undefined;
  peerPassive = false;
  adminDown = false;
  /** Most sessions speak for one route, and need no set for it. */
  #routes: RouteEntry | Set<RouteEntry> | undefined = undefined;

  constructor(id: SessionId, scope: Scope, address: number, peerPort: number, timers: SessionTimers) {
    this.id = id;
    this.scope = scope;
    this.address = address;
    this.peerPort = peerPort;
    this.timers = timers;
  }

  get iface(): string {
    return this.scope.iface;
  }

  get localIP(): string {
    return this.scope.localIP;
  }

  get peerIP(): string {
    return addressToText(this.address);
  }

  get txMinUs(): number {
    return this.timers.txMinUs;
  }

  get rxMinUs(): number {
    return this.timers.rxMinUs;
  }

  get detectMult(): number {
    return this.timers.detectMult;
  }

  get peer(): Readonly<Peer> {
    return Object.freeze({ iface: this.iface, localIP: this.localIP, peerIP: this.peerIP });
  }

  /** In the order of registration. */
  get routes(): Iterable<RouteEntry> {
    if (this.#routes === undefined) return [];
    return this.#routes instanceof Set ? this.#routes : [this.#routes];
  }

  addRoute(entry: RouteEntry): void {
    if (this.#routes === undefined) this.#routes = entry;
    else if (this.#routes instanceof Set) this.#routes.add(entry);
    else this.#routes = new Set([this.#routes, entry]);
  }

  removeRoute(entry: RouteEntry): void {
    if (this.#routes instanceof Set) this.#routes.delete(entry);
    else if (this.#routes === entry) this.#routes = undefined;
  }

  /** Takes in its state. */
  follow({ count, to }: SessionRecord): void {
    if (count > 0) this.up = to === 'up';
  }

  /** Takes in what the engine tells of it: what routes that are not armed are moved by. */
  heard(record: SessionRecord): void {
    const { count, peerPassive, convStartUs, atUs } = record;
    this.peerPassive = peerPassive ?? this.peerPassive;
    this.follow(record);
    if (count === 0) return;
    if (convStartUs !== undefined) this.turn = { startUs: convStartUs, atUs };
  }
}
