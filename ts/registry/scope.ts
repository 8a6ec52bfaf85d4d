/** An interface and an address of ours on it, and the sessions between that and its peers. */
import { addressToNumber } from '../address.js';
import type { Session } from './session.js';

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
