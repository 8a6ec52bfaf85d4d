/** Which installer moves the routes of a manager. */
import type { Environment } from '../base/environment.js';
import type { Engine } from '../engine/engine.js';
import { ArmedInstaller } from '../routes/armed-installer.js';
import { BackendInstaller } from '../routes/backend-installer.js';
import type { InstallerWarning, OperationListener, RouteInstaller, SuppressionListener } from '../routes/installer.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import type { ResolvedConfig } from './config.js';
import type { Maintenance } from './maintenance.js';

export interface InstallerContext {
  readonly engine: Pick<Engine, 'arming'>;
  readonly config: ResolvedConfig;
  readonly environment: Environment;
  readonly maintenance: Maintenance;
  readonly report: OperationListener;
  readonly warn: InstallerWarning;
  readonly suppressed: SuppressionListener;
}

/** The engine moves kernel routes itself where it can and routes follow sessions; any other backend is called. */
export function chooseInstaller(context: InstallerContext): RouteInstaller {
  const { engine, config, environment, maintenance, report, warn, suppressed } = context;
  const { netlinker, passiveMode, honorPeerAdvertisedPassive, routeTimeout } = config;
  if (!passiveMode && netlinker instanceof NetlinkRoutes && engine.arming !== undefined) {
    return new ArmedInstaller(engine.arming, report, warn, suppressed);
  }
  const isMaintained = (session: number): boolean => maintenance.heldUntil(session) !== undefined;
  const options = { passiveMode, honorPeerAdvertisedPassive, routeTimeout, isMaintained };
  return new BackendInstaller(netlinker, options, report, warn, environment, suppressed);
}
