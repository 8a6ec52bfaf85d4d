/** One registered route as the manager keeps it. */
import { addressText, packAddress, type PackedAddress } from '../base/address.js';
import { formatRouteKey, kernelPriority, parseDestination, type Route, routeKey } from '../base/route.js';
import type { RouteId } from '../engine/engine.js';
import type { ManagedBackup } from './managed-backup.js';
import type { ManagedSession, SessionRoute } from './managed-session.js';

/** Gives a route the fields that it had before, on the session that `sessionFor` gives for its previous one. */
export type RestoreRoute = (sessionFor: (previous: ManagedSession) => ManagedSession) => void;

/** The fields in which most routes of a manager agree. */
interface RouteKind {
  readonly table: number;
  readonly prefixLength: number;
  readonly protocol: number;
  /** `undefined` where the user gave none; as `noUninstall`. */
  readonly priority: number | undefined;
  readonly noUninstall: boolean | undefined;
}

let lastKind: RouteKind | undefined;

/** Routes that are registered one after the other share an object. */
function kindOf({ table, protocol, priority, noUninstall }: Readonly<Route>, prefixLength: number): RouteKind {
  const isSame =
    lastKind?.table === table &&
    lastKind.prefixLength === prefixLength &&
    lastKind.protocol === protocol &&
    lastKind.priority === priority &&
    lastKind.noUninstall === noUninstall;
  if (!isSame || lastKind === undefined) lastKind = { table, prefixLength, protocol, priority, noUninstall };
  return lastKind;
}

/**
 * A route from its registration until the backend has confirmed its withdrawal: until then it occupies its slot. Kept as
 * numbers, since there may be tens of thousands; the texts that users see are made on demand.
 */
export class ManagedRoute implements SessionRoute {
  readonly id: RouteId;
  session: ManagedSession;
  readonly destination: PackedAddress;
  nextHop: PackedAddress;
  #adminDown = false;
  #withdrawing = false;
  /** Grows with every registration and withdrawal: a caller that waited for an earlier one sees that a later one followed. */
  revision = 0;
  #kind: RouteKind;
  #backup: ManagedBackup | undefined = undefined;

  /** The route is valid, and its source is the local address of the session. */
  constructor(id: RouteId, route: Readonly<Route>, session: ManagedSession) {
    const prefix = parseDestination(route.dst);
    this.id = id;
    this.session = session;
    this.destination = packAddress(prefix?.address ?? '');
    this.nextHop = packAddress(route.nextHop);
    this.#kind = kindOf(route, prefix?.length ?? 0);
  }

  get table(): number {
    return this.#kind.table;
  }

  get prefixLength(): number {
    return this.#kind.prefixLength;
  }

  get protocol(): number {
    return this.#kind.protocol;
  }

  get iface(): string {
    return this.session.iface;
  }

  get source(): PackedAddress {
    return this.session.endpoint.address;
  }

  /** As the kernel lists it, since the engine looks for the route in listings: 1024 where none was given in IPv6. */
  get priority(): number {
    return kernelPriority(typeof this.destination === 'string', this.#kind.priority);
  }

  get noUninstall(): boolean {
    return this.#kind.noUninstall ?? false;
  }

  get adminDown(): boolean {
    return this.#adminDown;
  }

  set adminDown(down: boolean) {
    this.#recounted(() => (this.#adminDown = down));
  }

  get withdrawing(): boolean {
    return this.#withdrawing;
  }

  get backup(): ManagedBackup | undefined {
    return this.#backup;
  }

  /** The sessions that the route depends on. */
  get sessions(): readonly ManagedSession[] {
    const watcher = this.#backup?.session;
    return watcher === undefined ? [this.session] : [this.session, watcher];
  }

  /** Gives the route a backup, or takes it away. */
  setBackup(backup: ManagedBackup | undefined): void {
    this.#recounted(() => {
      this.#changeBackup(backup);
    });
  }

  /** Ends the registration. The route keeps its slot until the registry is told to remove it. */
  endRegistration(): void {
    this.revision += 1;
    this.#recounted(() => (this.#withdrawing = true));
  }

  count(by: 1 | -1): void {
    if (this.#withdrawing) return;
    const numbers = this.session.endpoint.routes;
    numbers.registered += by;
    if (this.#isDesired) numbers.desired += by;
  }

  get route(): Readonly<Route> {
    const route: Route = {
      table: this.table,
      dst: `${addressText(this.destination)}/${this.prefixLength}`,
      src: this.session.localIP,
      nextHop: addressText(this.nextHop),
      protocol: this.protocol,
    };
    const { priority, noUninstall } = this.#kind;
    if (priority !== undefined) route.priority = priority;
    if (noUninstall !== undefined) route.noUninstall = noUninstall;
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
  renew(route: Readonly<Route>, session: ManagedSession, backup: ManagedBackup | undefined): void {
    this.revision += 1;
    this.nextHop = packAddress(route.nextHop);
    this.#kind = kindOf(route, this.prefixLength);
    this.#recounted(() => {
      this.#changeBackup(backup);
      if (!this.#withdrawing && this.session === session) return;
      if (this.#withdrawing) this.#adminDown = false;
      this.#withdrawing = false;
      // Also where the session stays: the renewed route is the last one of its session again.
      this.#moveTo(session);
    });
  }

  /** Gives a function that restores the fields of now. Passive mode alone uses it, in which no route has a backup. */
  restorer(): RestoreRoute {
    const { session: previous, nextHop, adminDown, withdrawing } = this;
    const kind = this.#kind;
    return (sessionFor) => {
      this.revision += 1;
      this.#kind = kind;
      this.nextHop = nextHop;
      const session = sessionFor(previous);
      this.#recounted(() => {
        this.#adminDown = adminDown;
        this.#withdrawing = withdrawing;
        if (this.session !== session) this.#moveTo(session);
      });
    };
  }

  get #isDesired(): boolean {
    const hasPath = this.session.up || (this.#backup !== undefined && (this.#backup.session?.up ?? true));
    return hasPath && !this.#adminDown;
  }

  /** Makes a change that the numbers of the local endpoint, or of both where the session changes, may depend on. */
  #recounted(change: () => void): void {
    this.count(-1);
    change();
    this.count(1);
  }

  #changeBackup(backup: ManagedBackup | undefined): void {
    this.#backup?.session?.unwatch(this);
    this.#backup = backup;
    backup?.session?.watch(this);
  }

  #moveTo(session: ManagedSession): void {
    this.session.removeRoute(this);
    this.session = session;
    session.addRoute(this);
  }
}
