/** The options of an engine on loopback, for tests that start one themselves. */
import type { EngineOptions } from '../../ts/engine/engine.js';

export const ENGINE_OPTIONS: EngineOptions = {
  protocol: 'liveness',
  bindIPs: ['127.0.0.1'],
  port: 0,
  multihopPort: 0,
  minTxFloorUs: 10_000,
  maxTxCeilUs: 1_000_000,
  backoffMaxUs: 1_000_000,
  maxSessions: 100,
  passive: false,
  clientVersion: undefined,
  honorPeerAdvertisedPassive: false,
  requireDiscriminator: false,
  filterRepeats: false,
  minTtl: undefined,
  takeOver: false,
  massDown: undefined,
  withdrawOnFatal: false,
  resume: undefined,
  realtime: undefined,
};
