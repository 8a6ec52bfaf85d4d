/** The part of the configuration that the engine needs, in its units. */
import { toMicros } from '../base/clock.js';
import type { EngineOptions } from '../engine/engine.js';
import { parseClientVersion } from '../protocol/client-version.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import { boundAddresses } from './bound-addresses.js';
import type { ResolvedConfig } from './config.js';
import { maxSessions } from './registration-plan.js';

export function toEngineOptions(config: ResolvedConfig): EngineOptions {
  const {
    protocol,
    port,
    multihopPort = 0,
    minTxFloor,
    maxTxCeil,
    backoffMax = maxTxCeil,
    clientVersion,
    realtime,
    massDown,
    netlinker,
  } = config;
  return {
    protocol,
    bindIPs: boundAddresses(config),
    port,
    multihopPort,
    minTxFloorUs: toMicros(minTxFloor),
    maxTxCeilUs: toMicros(maxTxCeil),
    backoffMaxUs: toMicros(backoffMax),
    maxSessions: maxSessions(config),
    // Packets of BFD have no such flag.
    passive: config.passiveMode && protocol === 'liveness',
    clientVersion: clientVersion === undefined ? undefined : parseClientVersion(clientVersion),
    honorPeerAdvertisedPassive: config.honorPeerAdvertisedPassive,
    requireDiscriminator: config.requireDiscriminator,
    minTtl: config.minTtl,
    takeOver: netlinker instanceof NetlinkRoutes && netlinker.takeOver,
    nextHopObjects: netlinker instanceof NetlinkRoutes ? netlinker.nextHopObjects : undefined,
    massDown: massDown && { share: massDown.share, withinUs: toMicros(massDown.within), holdUs: toMicros(massDown.hold) },
    withdrawOnFatal: config.onFatal === 'withdraw',
    resume: config.resume,
    filterRepeats: config.filterRepeats,
    realtime,
  };
}
