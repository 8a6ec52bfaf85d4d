/** The part of the configuration that the engine needs, in its units. */
import { toMicros } from '../base/clock.js';
import type { EngineOptions } from '../engine/engine.js';
import { parseClientVersion } from '../protocol/client-version.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import type { ResolvedConfig } from './config.js';
import { maxSessions } from './registration-plan.js';

export function toEngineOptions(config: ResolvedConfig): EngineOptions {
  const { bindIP, port, minTxFloor, maxTxCeil, backoffMax, clientVersion, realtime, netlinker } = config;
  return {
    protocol: 'liveness',
    bindIPs: [bindIP],
    port,
    multihopPort: 0,
    minTxFloorUs: toMicros(minTxFloor),
    maxTxCeilUs: toMicros(maxTxCeil),
    backoffMaxUs: toMicros(backoffMax),
    maxSessions: maxSessions(config),
    passive: config.passiveMode,
    clientVersion: clientVersion === undefined ? undefined : parseClientVersion(clientVersion),
    honorPeerAdvertisedPassive: config.honorPeerAdvertisedPassive,
    requireDiscriminator: config.requireDiscriminator,
    minTtl: config.minTtl,
    takeOver: netlinker instanceof NetlinkRoutes && netlinker.takeOver,
    realtime,
  };
}
