/** What a manager begins with: its checked configuration and a running engine. */
import { BufferedListener } from '../engine/buffered-listener.js';
import type { Engine } from '../engine/engine.js';
import { type EngineFactory, startEngine } from '../engine/select.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import { explained } from './bind-failure.js';
import { type ManagerConfig, type ResolvedConfig, validateConfig } from './config.js';
import { toEngineOptions } from './engine-options.js';
import { checkRegistry } from './metrics-feed.js';

export interface StartedEngine {
  readonly config: ResolvedConfig;
  readonly engine: Engine;
  /** Keeps what the engine says until the manager listens. */
  readonly buffered: BufferedListener;
}

/** Checks a configuration, then starts an engine. @throws as `Manager.start` */
export async function startChecked(
  given: ManagerConfig,
  signal: AbortSignal | undefined,
  startWith: EngineFactory,
): Promise<StartedEngine> {
  throwIfAborted(signal);
  const config = validateConfig(given);
  const { netlinker, engine: choice, udp, metricsRegistry, metricsPrefix } = config;
  if (metricsRegistry !== undefined) checkRegistry(metricsRegistry, metricsPrefix);
  if (netlinker instanceof NetlinkRoutes) netlinker.checkAccess();
  const buffered = new BufferedListener();
  const engine = await startWith({ choice, udp, signal }, toEngineOptions(config), buffered);
  return { config, engine, buffered };
}

/** Starts an engine on this host. Where its port is taken the error says by whom. */
export const startOnThisHost: EngineFactory = async (selection, options, listener) => {
  try {
    return await startEngine(selection, options, listener);
  } catch (error) {
    throw await explained(error, options.bindIPs, options.port);
  }
};

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}
