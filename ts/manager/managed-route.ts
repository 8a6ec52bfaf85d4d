/** One registered route. On its way out it keeps its slot until the backend has confirmed: a slot has one owner. */
import { addressToNumber, addressToText, parsePrefix } from '../base/address.js';
import type { RouteId } from '../engine/engine.js';
import type { RegisteredRoute } from '../routes/installer.js';
import { formatRouteKey, type Route, routeKey } from '../base/route.js';
import type { Session } from './managed-session.js';

/** It keeps numbers: there may be tens of thousands. The words of the user are made when somebody asks for them. */
export class RouteEntry implements RegisteredRoute {
  readonly id: RouteId;
  session: Session;
  readonly table: number;
  readonly destination: number;
  readonly prefixLength: number;
  nextHop: number;
  protocol: number;
  adminDown = false;
  leaving = false;
  /** Counts registrations and withdrawals: who waited for an earlier one finds that it is not the latest. */
  life = 0;
  /** As they were given, or not. */
  #priority: number | undefined;
  #noUninstall: boolean | undefined;

  /** The route is a valid one, and its source the local end of its session. */
  constructor(id: RouteId, route: Readonly<Route>, session: Session) {
    const prefix = parsePrefix(route.dst);
    this.id = id;
    this.session = session;
    this.table = route.table;
    this.destination = addressToNumber(prefix?.address ?? '');
    this.prefixLength = prefix?.length ?? 0;
    this.nextHop = addressToNumber(route.nextHop);
    this.protocol = route.protocol;
    this.#priority = route.priority;
    this.#noUninstall = route.noUninstall;
  }

  get iface(): string {
    return this.session.iface;
  }

  get source(): number {
    return this.session.scope.address;
  }

  get priority(): number {
    return this.#priority ?? 0;
  }

  get noUninstall(): boolean {
    return this.#noUninstall ?? false;
  }

  get route(): Readonly<Route> {
    const route: Route = {
      table: this.table,
      dst: `${addressToText(this.destination)}/${this.prefixLength}`,
      src: this.session.localIP,
      nextHop: addressToText(this.nextHop),
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

  /** Whether a route of the same slot is this one: the rest of the key. */
  isKeyOf(iface: string, { src, nextHop }: Readonly<Route>): boolean {
    return this.iface === iface && this.session.localIP === src && this.nextHop === addressToNumber(nextHop);
  }

  /** Registered again: everything but the slot may have changed. */
  renew({ priority, noUninstall, nextHop, protocol }: Readonly<Route>, session: Session): void {
    this.life += 1;
    this.#priority = priority;
    this.#noUninstall = noUninstall;
    this.nextHop = addressToNumber(nextHop);
    this.protocol = protocol;
    if (!this.leaving && this.session === session) return;
    if (this.leaving) this.adminDown = false;
    this.session.removeRoute(this);
    this.session = session;
    session.addRoute(this);
    this.leaving = false;
  }

  /** What puts the route back as it is now, on the session that it is given for the one of now. */
  snapshot(): PutBack {
    const { session: former, nextHop, protocol, adminDown, leaving } = this;
    const [priority, noUninstall] = [this.#priority, this.#noUninstall];
    return (sessionFor) => {
      this.life += 1;
      this.#priority = priority;
      this.#noUninstall = noUninstall;
      Object.assign(this, { nextHop, protocol, adminDown, leaving });
      const session = sessionFor(former);
      if (this.session === session) return;
      this.session.removeRoute(this);
      this.session = session;
      session.addRoute(this);
    };
  }
}

/** Puts a route back as it was. */
export type PutBack = (sessionFor: (former: Session) => Session) => void;
