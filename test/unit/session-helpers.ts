/** Sessions and packets as the tests of the building blocks need them. Times are milliseconds after `START`. */
import { ControlPacket, type ControlPacketFields, REFERENCE, ROBUST, type Rules, Session, type SessionOptions } from '../../ts/protocol.js';
import type { State } from '../../ts/protocol/state.js';

export const OURS = 0x0a;
export const PEER = 0x0b;
export const NEW_LIFE = 0x0c;
export const NOBODY = 0xdead;

export const INTERVAL = 100;
export const DETECT = 3 * INTERVAL;
export const START = 1_000;
export const BOTH: readonly Rules[] = [REFERENCE, ROBUST];
export const HERE = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' } as const;

export function at(milliseconds: number): number {
  return START + milliseconds;
}

export function options(changes: Partial<SessionOptions> = {}): SessionOptions {
  return { peer: HERE, localDiscr: OURS, txMin: INTERVAL, rxMin: INTERVAL, detectMult: 3, ...changes };
}

export function newSession(rules: Rules, changes: Partial<SessionOptions> = {}): Session {
  return new Session(options({ rules, ...changes }));
}

export function packet(state: State, localDiscr: number, peerDiscr: number, changes: Partial<ControlPacketFields> = {}): ControlPacket {
  const us = INTERVAL * 1_000;
  return new ControlPacket({
    version: 1,
    state,
    detectMult: 3,
    localDiscr,
    peerDiscr,
    desiredMinTxUs: us,
    requiredMinRxUs: us,
    ...changes,
  });
}
