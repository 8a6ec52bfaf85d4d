/** An interface and an address of ours on it, and the sessions between that and its peers. */
import { addressToNumber } from '../base/address.js';
import type { Session } from './managed-session.js';

export class Scope {
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
