/** The parts of a manager, put together. They know each other by what they are given here, and none knows the manager. */
import type { Environment } from '../base/environment.js';
import type { RouteInstaller, RouteOperation } from '../routes/installer.js';
import { Holds } from './holds.js';
import { chooseInstaller } from './installer-choice.js';
import type { HoldChange } from './manager-events.js';
import type { ManagerLog } from './manager-log.js';
import type { StartedEngine } from './manager-start.js';
import { MetricsReader } from './metrics-reader.js';
import { RouteManager } from './route-manager.js';
import { SessionChanges } from './session-changes.js';
import { SnapshotReader } from './snapshot-reader.js';
import { TransitionStreams } from './transition-streams.js';
import type { Transition } from './transitions.js';

export interface ManagerParts {
  readonly holds: Holds;
  readonly installer: RouteInstaller;
  readonly routeManager: RouteManager;
  readonly streams: TransitionStreams;
  readonly changes: SessionChanges;
  readonly snapshots: SnapshotReader;
  readonly metricsReader: MetricsReader;
}

/** What the parts have of their manager. */
export interface PartsContext {
  readonly started: StartedEngine;
  readonly environment: Environment;
  readonly log: ManagerLog;
  /** @throws LivenessError `ERR_CLOSED` */
  readonly assertOpen: () => void;
  /** These tell the listeners. */
  readonly onTransition: (transition: Transition) => void;
  readonly onRoute: (operation: RouteOperation) => void;
  readonly onHold: (change: HoldChange) => void;
}

export function assembleParts(context: PartsContext): ManagerParts {
  const { started, environment, log, assertOpen } = context;
  const { config, engine } = started;
  const holds: Holds = new Holds({
    environment,
    registry: () => routeManager.registry,
    changed: (sessions, active) => {
      installer.setMaintenance(sessions, active);
    },
    told: (change, what) => {
      log.hold(change.peers, change.until, what);
      context.onHold(change);
    },
  });
  const { maintenance } = holds;
  const installer = installerOf(context, holds);
  const routeManager: RouteManager = new RouteManager({
    ...{ engine, installer, config, log: log.logger, environment, assertOpen },
    onPassive: () => {
      log.passiveRole();
    },
    onSessionEnd: (id) => {
      maintenance.ended(id);
    },
  });
  const { registry } = routeManager;
  const streams = new TransitionStreams({
    limit: config.maxEvents,
    exists: (peer) => registry.session(peer) !== undefined,
    onDropped: (count) => {
      log.transitionsDropped(count);
    },
  });
  const changes = new SessionChanges({
    ...{ config, environment, log, registry, installer, maintenance },
    publish: (transition) => {
      streams.push(transition);
      context.onTransition(transition);
    },
  });
  const snapshots = new SnapshotReader({ engine, installer, registry, holds, environment });
  const metricsReader = new MetricsReader({ engine, installer, registry, maintenance, config, environment });
  return { holds, installer, routeManager, streams, changes, snapshots, metricsReader };
}

function installerOf({ started, environment, log, onRoute }: PartsContext, { maintenance }: Holds): RouteInstaller {
  return chooseInstaller({
    ...{ engine: started.engine, config: started.config, environment, maintenance },
    report: (operation) => {
      log.operation(operation);
      onRoute(operation);
    },
    warn: (fields, message) => {
      log.routeWarning(fields, message);
    },
    suppressed: (registered, until) => {
      log.suppressed(registered, until);
    },
  });
}
