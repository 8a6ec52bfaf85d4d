/** The holds of a manager, as users ask for them and hear of them: by peers, and in wall-clock time. */
import type { Environment } from '../base/environment.js';
import { LivenessError } from '../base/errors.js';
import { formatPeer, type Peer } from '../base/route.js';
import type { SessionId } from '../engine/engine.js';
import { Maintenance, type MaintenanceListener } from './maintenance.js';
import type { HoldChange } from './manager-events.js';
import type { RouteRegistry } from './route-registry.js';

export interface HoldsDependencies {
  readonly environment: Environment;
  /** Asked for with each call: a manager makes its registry after its holds. */
  readonly registry: () => Pick<RouteRegistry, 'session' | 'sessionById'>;
  readonly changed: MaintenanceListener['changed'];
  /** `what` says in words what has changed. */
  readonly told: (change: HoldChange, what: string) => void;
}

export class Holds {
  readonly maintenance: Maintenance;
  readonly #dependencies: HoldsDependencies;

  constructor(dependencies: HoldsDependencies) {
    this.#dependencies = dependencies;
    const { environment, changed } = dependencies;
    const expired = (ids: readonly SessionId[] | undefined): void => {
      this.#tell(ids && this.#peersOf(ids), undefined, 'the hold is over');
    };
    this.maintenance = new Maintenance(environment, { changed, expired });
  }

  /** Until when all sessions are held. */
  get allUntil(): Date | undefined {
    return this.#wallTime(this.maintenance.allUntil);
  }

  /** Until when a session is held. */
  until(session: SessionId): Date | undefined {
    return this.maintenance.isActive ? this.#wallTime(this.maintenance.heldUntil(session)) : undefined;
  }

  /** Holds sessions for so many milliseconds; without peers all. @throws LivenessError `ERR_NO_SUCH_SESSION` */
  hold(peers: readonly Peer[] | undefined, duration: number): void {
    this.maintenance.hold(peers && this.#idsOf(peers), duration);
    this.#tell(peers, new Date(Date.now() + duration), `held for ${duration} ms`);
  }

  /** @throws LivenessError `ERR_NO_SUCH_SESSION` */
  release(peers: readonly Peer[] | undefined): void {
    const sessions = peers && this.#idsOf(peers);
    if (!this.maintenance.isActive) return;
    this.maintenance.release(sessions);
    this.#tell(peers, undefined, 'released');
  }

  #tell(peers: readonly Readonly<Peer>[] | undefined, until: Date | undefined, what: string): void {
    this.#dependencies.told({ peers, until }, what);
  }

  #idsOf(peers: readonly Peer[]): SessionId[] {
    const registry = this.#dependencies.registry();
    return peers.map((peer) => {
      const session = registry.session(peer);
      if (session === undefined) throw new LivenessError('ERR_NO_SUCH_SESSION', `There is no session with ${formatPeer(peer)}`);
      return session.id;
    });
  }

  #peersOf(ids: readonly SessionId[]): Readonly<Peer>[] {
    const registry = this.#dependencies.registry();
    return ids.flatMap((id) => registry.sessionById(id)?.peer ?? []);
  }

  #wallTime(atMs: number | undefined): Date | undefined {
    return atMs === undefined ? undefined : new Date(atMs + this.#dependencies.environment.wallOffset());
  }
}
