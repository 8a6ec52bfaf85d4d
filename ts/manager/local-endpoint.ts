/** The local end of sessions: an interface and an address on it. */
import { packAddress, type PackedAddress } from '../base/address.js';

/** The routes of the sessions of one local endpoint. Kept as they change: counting tens of thousands would hold up whoever asks. */
export interface RouteNumbers {
  /** Those whose registration has not ended. */
  registered: number;
  /** Of them those that are to be installed where sessions decide, as they do unless the manager is in passive mode. */
  desired: number;
}

/** One object for all sessions that have this local end: there may be many thousands. */
export class LocalEndpoint<Session = unknown> {
  readonly iface: string;
  readonly localIP: string;
  /** `localIP`, packed. */
  readonly address: PackedAddress;
  /** By the peer's address. */
  readonly sessions = new Map<PackedAddress, Session>();
  readonly routes: RouteNumbers = { registered: 0, desired: 0 };

  constructor(iface: string, localIP: string) {
    this.iface = iface;
    this.localIP = localIP;
    this.address = packAddress(localIP);
  }
}
