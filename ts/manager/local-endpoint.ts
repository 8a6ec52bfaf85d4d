/** The local end of sessions: an interface and an address on it. */
import { addressToNumber } from '../base/address.js';

/** One object for all sessions that have this local end: there may be many thousands. */
export class LocalEndpoint<Session = unknown> {
  readonly iface: string;
  readonly localIP: string;
  /** `localIP` as a number. */
  readonly address: number;
  /** By the peer's address. */
  readonly sessions = new Map<number, Session>();

  constructor(iface: string, localIP: string) {
    this.iface = iface;
    this.localIP = localIP;
    this.address = addressToNumber(localIP);
  }
}
