/** One registered route as the manager keeps it. */
import { addressText, packAddress, type PackedAddress } from '../base/address.js';
import { formatRouteKey, kernelPriority, parseDestination, type Route, routeKey } from '../base/route.js';
import type { RouteId } from '../engine/engine.js';
import type { ManagedSession, SessionRoute } from './managed-session.js';

/** Gives a route the fields that it had before, on the session that `sessionFor` gives for its previous one. */
export type RestoreRoute = (sessionFor: (previous: ManagedSession) => ManagedSession) => void;

/**
 * A route from its registration until the backend has confirmed its withdrawal: until then it occupies its slot. Kept as
 * numbers, since there may be tens of thousands; the texts that users see are made on demand.
 */
export class ManagedRoute implements SessionRoute {
  readonly id: RouteId;
  session: ManagedSession;
  readonly table: number;
  readonly destination: PackedAddress;
  readonly prefixLength: number;
  nextHop: PackedAddress;
  protocol: number;
  adminDown = false;
  withdrawing = false;
  /** Grows with every registration and withdrawal: a caller that waited for an earlier one sees that a later one followed. */
  revision = 0;
  /** `undefined` where the user gave none. */
  #priority: number | undefined;
  #noUninstall: boolean | undefined;

  /** The route is valid, and its source is the local address of the session. */
  constructor(id: RouteId, route: Readonly<Route>, session: ManagedSession) {
    const prefix = parseDestination(route.dst);
    this.id = id;
    this.session = session;
    this.table = route.table;
    this.destination = packAddress(prefix?.address ?? '');
    this.prefixLength = prefix?.length ?? 0;
    this.nextHop = packAddress(route.nextHop);
    this.protocol = route.protocol;
    this.#priority = route.priority;
    this.#noUninstall = route.noUninstall;
  }

  get iface(): string {
    return this.session.iface;
  }

  get source(): PackedAddress {
    return this.session.endpoint.address;
  }

  /** As the kernel lists it, since the engine looks for the route in listings: 1024 where none was given in IPv6. */
  get priority(): number {
    return kernelPriority(typeof this.destination === 'string', this.#priority);
  }

  get noUninstall(): boolean {
    return this.#noUninstall ?? false;
  }

  get route(): Readonly<Route> {
    const route: Route = {
      table: this.table,
      dst: `${addressText(this.destination)}/${this.prefixLength}`,
      src: this.session.localIP,
      nextHop: addressText(this.nextHop),
      protocol: this.protocol,
    };
    if (this.#priority !== undefined) route.priority = this.#priority;
    if (this.#noUninstall !== undefined) route.noUninstall = this.#noUninstall;
    return Object.freeze(route);
  }

  /** The key as text. */
  get key(): string {
    return formatRouteKey(routeKey(this.iface, this.route));
  }

  /** Whether this route has the key of a route in the same slot. */
  hasKeyOf(iface: string, { src, nextHop }: Readonly<Route>): boolean {
    return this.iface === iface && this.session.localIP === src && this.nextHop === packAddress(nextHop);
  }

  /** Registers the route again: everything but its slot may have changed. Cancels a withdrawal. */
  renew({ priority, noUninstall, nextHop, protocol }: Readonly<Route>, session: ManagedSession): void {
    this.revision += 1;
    this.#priority = priority;
    this.#noUninstall = noUninstall;
    this.nextHop = packAddress(nextHop);
    this.protocol = protocol;
    if (!this.withdrawing && this.session === session) return;
    if (this.withdrawing) this.adminDown = false;
    this.withdrawing = false;
    // Also where the session stays: the renewed route is the last one of its session again.
    this.#moveTo(session);
  }

  /** Gives a function that restores the fields of now. */
  restorer(): RestoreRoute {
    const { session: previous, nextHop, protocol, adminDown, withdrawing } = this;
    const [priority, noUninstall] = [this.#priority, this.#noUninstall];
    return (sessionFor) => {
      this.revision += 1;
      this.#priority = priority;
      this.#noUninstall = noUninstall;
      Object.assign(this, { nextHop, protocol, adminDown, withdrawing });
      const session = sessionFor(previous);
      if (this.session !== session) this.#moveTo(session);
    };
  }

  #moveTo(session: ManagedSession): void {
    this.session.removeRoute(this);
    this.session = session;
    session.addRoute(this);
  }
}
