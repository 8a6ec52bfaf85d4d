/** What a change of a session leads to. Routes come first, then log and listeners: a slow listener must not delay a route. */
import type { Environment } from '../base/environment.js';
import type { SessionRecord } from '../engine/engine.js';
import { ArmedInstaller } from '../routes/armed-installer.js';
import { BackendInstaller } from '../routes/backend-installer.js';
import type { RouteInstaller } from '../routes/installer.js';
import type { ResolvedConfig } from './config.js';
import type { Maintenance } from './maintenance.js';
import type { ManagedSession } from './managed-session.js';
import type { ManagerLog } from './manager-log.js';
import { RecentDowns } from './mass-down.js';
import type { RouteRegistry } from './route-registry.js';
import { toTransition, type Transition } from './transitions.js';

export interface SessionChangesDependencies {
  readonly config: ResolvedConfig;
  readonly environment: Environment;
  readonly log: ManagerLog;
  readonly registry: RouteRegistry;
  readonly installer: RouteInstaller;
  readonly maintenance: Maintenance;
  /** Called with each transition, after its routes have been told. */
  readonly publish: (transition: Transition) => void;
}

/** A session with what the engine says of it. */
interface KnownRecord {
  readonly session: ManagedSession;
  readonly record: SessionRecord;
}

export class SessionChanges {
  readonly #dependencies: SessionChangesDependencies;
  readonly #recentDowns: RecentDowns | undefined;

  constructor(dependencies: SessionChangesDependencies) {
    const { config, installer } = dependencies;
    this.#dependencies = dependencies;
    // The native engine does this for armed routes itself.
    const isWatched = !config.passiveMode && !(installer instanceof ArmedInstaller);
    this.#recentDowns = isWatched && config.massDown ? new RecentDowns(config.massDown) : undefined;
  }

  /** Takes the engine's records. Those of sessions that have ended meanwhile are dropped. */
  apply(records: readonly SessionRecord[]): void {
    const { registry } = this.#dependencies;
    const known = records.flatMap((record) => {
      const session = registry.sessionById(record.id);
      return session === undefined ? [] : [{ session, record }];
    });
    if (this.#recentDowns !== undefined) this.#holdMassDown(known, this.#recentDowns);
    for (const { session, record } of known) this.#updateRoutes(session, record);
    for (const { session, record } of known) this.#report(session, record);
  }

  #holdMassDown(known: readonly KnownRecord[], recentDowns: RecentDowns): void {
    const { registry, environment, maintenance, log } = this.#dependencies;
    const fallen = known
      .filter(({ session, record }) => session.up && record.count > 0 && hasFallen(record))
      .map(({ session }) => session.id);
    if (fallen.length === 0) return;
    const up = new Set([...registry.routes()].filter(({ session }) => session.up).map(({ session }) => session.id));
    for (const id of fallen) up.delete(id);
    const massDown = recentDowns.fell(fallen, up.size, environment.now());
    if (massDown === undefined) return;
    const { sessions, wait, report } = massDown;
    maintenance.holdAtLeast(sessions, wait);
    if (report === undefined) return;
    const { fallen: count, of } = report;
    const message = `${count} of ${of} sessions fell at once, which is probably this host's fault: their routes stay for ${wait} ms`;
    log.warning('ERR_MASS_DOWN', message);
  }

  /** Armed routes need nothing here: the engine has moved them on the transition itself. */
  #updateRoutes(session: ManagedSession, record: SessionRecord): void {
    const { installer } = this.#dependencies;
    if (!(installer instanceof BackendInstaller)) {
      session.applyState(record);
      return;
    }
    session.apply(record);
    for (const route of session.routes) installer.changed(route);
    for (const route of session.watched) installer.changed(route);
  }

  #report(session: ManagedSession, record: SessionRecord): void {
    const { log, environment, publish } = this.#dependencies;
    if (record.longRoundTripUs !== undefined) log.longRoundTrip(session.peer, record.longRoundTripUs / 1_000);
    if (record.count === 0) return;
    const transition = toTransition(session.peer, record, environment.wallOffset());
    log.transition(transition);
    publish(transition);
  }
}

/** Whether a session has left Up, other than by the word of its peer. */
function hasFallen({ to, reason }: SessionRecord): boolean {
  return to !== 'up' && reason !== 'remote_admin';
}
