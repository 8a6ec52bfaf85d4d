/**
 * What crosses into the addon in bulk: rows of 32-bit numbers, one row each. `crate/src/addon/rows.rs` reads them; both
 * change together.
 */
import { addressToNumber } from '../address.js';
import type { ArmedRoute, SessionSpec } from './engine.js';

const SESSION_COLUMNS = 8;
const ROUTE_COLUMNS = 11;

const NO_UNINSTALL = 1;
const ADMIN_DOWN = 2;
const ADOPTED = 4;

/** Sessions, and the names of the interfaces that their rows refer to. */
export function sessionRows(specs: readonly SessionSpec[]): { rows: Uint32Array; interfaces: string[] } {
  const rows = new Uint32Array(specs.length * SESSION_COLUMNS);
  const numbers = new Map<string, number>();
  let at = 0;
  for (const { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult } of specs) {
    const number = numbers.get(iface) ?? numbers.size;
    numbers.set(iface, number);
    rows[at] = id;
    rows[at + 1] = number;
    rows[at + 2] = addressToNumber(localIP);
    rows[at + 3] = addressToNumber(peerIP);
    rows[at + 4] = peerPort;
    rows[at + 5] = txMinUs;
    rows[at + 6] = rxMinUs;
    rows[at + 7] = detectMult;
    at += SESSION_COLUMNS;
  }
  return { rows, interfaces: [...numbers.keys()] };
}

/** Routes to arm. */
export function routeRows(routes: readonly ArmedRoute[], adopted: boolean): Uint32Array {
  const rows = new Uint32Array(routes.length * ROUTE_COLUMNS);
  let at = 0;
  for (const { id, sessionId, generation, route, noUninstall, adminDown } of routes) {
    rows[at] = id;
    rows[at + 1] = sessionId;
    rows[at + 2] = generation;
    rows[at + 3] = route.table;
    rows[at + 4] = route.destination;
    rows[at + 5] = route.prefixLength;
    rows[at + 6] = route.source;
    rows[at + 7] = route.nextHop;
    rows[at + 8] = route.protocol;
    rows[at + 9] = route.priority;
    rows[at + 10] = (noUninstall ? NO_UNINSTALL : 0) | (adminDown ? ADMIN_DOWN : 0) | (adopted ? ADOPTED : 0);
    at += ROUTE_COLUMNS;
  }
  return rows;
}
