/** One session as the manager keeps it, with the routes that depend on it. */
import { addressText, type PackedAddress } from '../base/address.js';
import type { Peer } from '../base/route.js';
import type { Damping, SessionId, SessionRecord, SessionSpec } from '../engine/engine.js';
import type { BfdSessionOptions } from '../protocol/bfd/options.js';
import { DownReason } from '../protocol/state.js';
import type { RegisteredRoute, SessionView } from '../routes/installer.js';
import type { LocalEndpoint } from './local-endpoint.js';
import type { SessionParameters } from './session-parameters.js';

/** A route that depends on a session. */
export interface SessionRoute extends RegisteredRoute {
  /** The registration has ended; the route is being withdrawn. */
  readonly withdrawing: boolean;
  /** Adds the route to the numbers of its local endpoint, or takes it away. */
  count(by: 1 | -1): void;
}

/** What decides about routes of a called backend, beside the state. */
interface Details {
  lastTransition: SessionView['lastTransition'];
  peerPassive: boolean;
  isPeerAdminDown: boolean;
  downs: number;
}

/** Kept as numbers: there may be tens of thousands. */
export class ManagedSession implements SessionView, SessionSpec {
  readonly id: SessionId;
  readonly endpoint: LocalEndpoint<ManagedSession>;
  /** The peer's address. */
  readonly address: PackedAddress;
  parameters: SessionParameters;
  #up = false;
  adminDown = false;
  /** Registered by itself: the session runs although no route depends on it. */
  isRegistered = false;
  /** Only of sessions whose routes a called backend has. */
  #details: Details | undefined = undefined;
  /** Most sessions have one route, and need no set for it. */
  #routes: SessionRoute | Set<SessionRoute> | undefined = undefined;
  /** The routes whose backup it watches. */
  #watched: Set<SessionRoute> | undefined = undefined;

  constructor(id: SessionId, endpoint: LocalEndpoint<ManagedSession>, address: PackedAddress, parameters: SessionParameters) {
    this.id = id;
    this.endpoint = endpoint;
    this.address = address;
    this.parameters = parameters;
  }

  get up(): boolean {
    return this.#up;
  }

  set up(up: boolean) {
    if (this.#up === up) return;
    countRoutes(this, -1);
    this.#up = up;
    countRoutes(this, 1);
  }

  get iface(): string {
    return this.endpoint.iface;
  }

  get localIP(): string {
    return this.endpoint.localIP;
  }

  get peerIP(): string {
    return addressText(this.address);
  }

  get lastTransition(): SessionView['lastTransition'] {
    return this.#details?.lastTransition;
  }

  get peerPassive(): boolean {
    return this.#details?.peerPassive ?? false;
  }

  get isPeerAdminDown(): boolean {
    return this.#details?.isPeerAdminDown ?? false;
  }

  get downs(): number {
    return this.#details?.downs ?? 0;
  }

  get holdUpMs(): number {
    return this.parameters.holdUpMs;
  }

  get damping(): Damping | undefined {
    return this.parameters.damping;
  }

  get peerPort(): number {
    return this.parameters.peerPort;
  }

  get txMinUs(): number {
    return this.parameters.txMinUs;
  }

  get rxMinUs(): number {
    return this.parameters.rxMinUs;
  }

  get detectMult(): number {
    return this.parameters.detectMult;
  }

  get multihop(): boolean {
    return this.parameters.multihop;
  }

  get minTtl(): number | undefined {
    return this.parameters.minTtl;
  }

  get keepsOnPeerAdminDown(): boolean {
    return this.parameters.keepsOnPeerAdminDown;
  }

  get bfd(): BfdSessionOptions | undefined {
    return this.parameters.bfd;
  }

  get peer(): Readonly<Peer> {
    return Object.freeze({ iface: this.iface, localIP: this.localIP, peerIP: this.peerIP });
  }

  /** In the order of registration. */
  get routes(): Iterable<SessionRoute> {
    if (this.#routes === undefined) return [];
    return this.#routes instanceof Set ? this.#routes : [this.#routes];
  }

  /** Whether anything registered needs the session. */
  get isUsed(): boolean {
    if (this.isRegistered) return true;
    for (const { withdrawing } of this.routes) if (!withdrawing) return true;
    return this.isWatching;
  }

  /** Whether it watches the backup of a registered route. */
  get isWatching(): boolean {
    for (const { withdrawing } of this.watched) if (!withdrawing) return true;
    return false;
  }

  get watched(): Iterable<SessionRoute> {
    return this.#watched ?? [];
  }

  watch(route: SessionRoute): void {
    (this.#watched ??= new Set()).add(route);
  }

  unwatch(route: SessionRoute): void {
    this.#watched?.delete(route);
    if (this.#watched?.size === 0) this.#watched = undefined;
  }

  addRoute(route: SessionRoute): void {
    if (this.#routes === undefined) this.#routes = route;
    else if (this.#routes instanceof Set) this.#routes.add(route);
    else this.#routes = new Set([this.#routes, route]);
  }

  removeRoute(route: SessionRoute): void {
    if (this.#routes instanceof Set) this.#routes.delete(route);
    else if (this.#routes === route) this.#routes = undefined;
  }

  /** Takes the state from a record of the engine. */
  applyState({ count, to }: SessionRecord): void {
    if (count > 0) this.up = to === 'up';
  }

  /** Takes all of a record that decides about routes of a called backend. The engine itself decides about armed routes. */
  apply(record: SessionRecord): void {
    const { count, to, reason, peerPassive, convStartUs, atUs } = record;
    const details = (this.#details ??= { lastTransition: undefined, peerPassive: false, isPeerAdminDown: false, downs: 0 });
    details.peerPassive = peerPassive ?? details.peerPassive;
    this.applyState(record);
    details.downs += downsIn(record);
    // `reason` is that of the last Down: from there to the next Up, or to a Down for another reason, it stays.
    if (count > 0) details.isPeerAdminDown = to !== 'up' && reason === DownReason.RemoteAdmin;
    if (count > 0 && convStartUs !== undefined) details.lastTransition = { startUs: convStartUs, atUs };
  }
}

/** No session watches the backup of a route of its own. A private method would cost each session a field. */
function countRoutes({ routes, watched }: ManagedSession, by: 1 | -1): void {
  for (const route of routes) route.count(by);
  for (const route of watched) route.count(by);
}

/** How often the session went Down from Up. Of several transitions in one record only the first and the last states are known. */
function downsIn({ from, to, count, everUp }: SessionRecord): number {
  if (count === 0 || !everUp) return 0;
  if (from === 'up') return Math.max(1, Math.floor(count / 2));
  // The last Up has no Down after it, and the first came perhaps by way of Init.
  return Math.floor((to === 'up' ? count - 1 : count) / 2);
}
