/** The rule set of BFD. */
import type { Rules } from '../rules.js';

/** The rules of BFD sessions (RFC 5880). Their state table reads none of them. A `Session` speaks the liveness protocol, and takes others. */
export const RFC5880: Rules = Object.freeze({
  name: 'rfc5880',
  learnsFromEveryPacket: true,
  forgetsAfterSilence: true,
  acceptsForeignDiscriminatorWhenDown: false,
  staysInitOnDown: true,
  initDetectMinUs: 0,
  initTransmitsMin: 0,
  acceptsSlowerPeers: true,
});
