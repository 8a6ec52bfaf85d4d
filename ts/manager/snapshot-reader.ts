/** Reads the present state of sessions: from the engine, with what the installer and the holds say of their routes. */
import type { Environment } from '../base/environment.js';
import type { Engine, SessionId } from '../engine/engine.js';
import type { RouteInstaller } from '../routes/installer.js';
import type { Holds } from './holds.js';
import type { RouteRegistry } from './route-registry.js';
import { type SessionSnapshot, toSessionSnapshot } from './session-snapshot.js';

export interface SnapshotSources {
  readonly engine: Pick<Engine, 'snapshots'>;
  readonly installer: Pick<RouteInstaller, 'status'>;
  readonly registry: Pick<RouteRegistry, 'sessionById'>;
  readonly holds: Pick<Holds, 'until'>;
  readonly environment: Environment;
}

export class SnapshotReader {
  readonly #sources: SnapshotSources;

  constructor(sources: SnapshotSources) {
    this.#sources = sources;
  }

  /** Of all sessions, or of those with these numbers. */
  read(ids?: readonly SessionId[]): SessionSnapshot[] {
    const { engine, installer, registry, holds, environment } = this.#sources;
    const status = installer.status.bind(installer);
    const offset = environment.wallOffset();
    const snapshots: SessionSnapshot[] = [];
    for (const reading of engine.snapshots(ids)) {
      const session = registry.sessionById(reading.id);
      const snapshot = session && toSessionSnapshot(session, reading, status, offset, holds.until(reading.id));
      if (snapshot !== undefined) snapshots.push(snapshot);
    }
    return snapshots;
  }
}
