/** The local end of sessions: an interface and an address on it. */
import { packAddress, type PackedAddress } from '../base/address.js';

/** One object for all sessions that have this local end: there may be many thousands. */
export class LocalEndpoint<Session = unknown> {
  readonly iface: string;
  readonly localIP: string;
  /** `localIP`, packed. */
  readonly address: PackedAddress;
  /** By the peer's address. */
  readonly sessions = new Map<PackedAddress, Session>();

  constructor(iface: string, localIP: string) {
    this.iface = iface;
    this.localIP = localIP;
    this.address = packAddress(localIP);
  }
}
