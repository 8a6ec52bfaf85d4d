/**
 * Sessions, routes and readings as rows of numbers, for fast calls of the addon. `crate/src/addon/rows.rs` reads the rows,
 * `crate/src/addon/snapshots.rs` writes them: change both sides together.
 */
import { addressToNumber } from '../../base/address.js';
import { DownReason, State } from '../../protocol/state.js';
import type { ArmedRoute, EngineReading, SessionSpec } from '../engine.js';

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

const SNAPSHOT_COLUMNS = 16;

/** In the order of the addon's numbers. */
const STATES = [State.AdminDown, State.Down, State.Init, State.Up] as const;
const DOWN_REASONS = [DownReason.None, DownReason.Timeout, DownReason.RemoteAdmin, DownReason.LocalAdmin, DownReason.RemoteDown] as const;

/** The readings of sessions in the addon's rows. */
export function snapshotsOf(rows: Float64Array): EngineReading[] {
  const snapshots: EngineReading[] = [];
  for (let at = 0; at < rows.length; at += SNAPSHOT_COLUMNS) snapshots.push(new SnapshotRow(rows, at));
  return snapshots;
}

/** Reads a field when it is asked for: copying every row into an object would double the garbage of a caller. */
class SnapshotRow implements EngineReading {
  readonly #rows: Float64Array;
  readonly #at: number;

  constructor(rows: Float64Array, at: number) {
    this.#rows = rows;
    this.#at = at;
  }

  get id(): number {
    return this.#column(0);
  }

  get state(): State {
    return STATES[this.#column(1)] ?? State.Down;
  }

  get localDiscr(): number {
    return this.#column(2);
  }

  get peerDiscr(): number {
    return this.#column(3);
  }

  get lastDownReason(): DownReason {
    return DOWN_REASONS[this.#column(4)] ?? DownReason.None;
  }

  get convUpStartUs(): number | undefined {
    return this.#time(5);
  }

  get convDownStartUs(): number | undefined {
    return this.#time(6);
  }

  get upSinceUs(): number | undefined {
    return this.#time(7);
  }

  get downSinceUs(): number | undefined {
    return this.#time(8);
  }

  get detectDeadlineUs(): number | undefined {
    return this.#time(9);
  }

  get nextDetectScheduledUs(): number | undefined {
    return this.#time(10);
  }

  get lastUpdatedUs(): number | undefined {
    return this.#time(11);
  }

  get detectTimeUs(): number {
    return this.#column(12);
  }

  get txIntervalUs(): number {
    return this.#column(13);
  }

  get peerPassive(): boolean | undefined {
    const passive = this.#column(14);
    return Number.isNaN(passive) ? undefined : passive !== 0;
  }

  get peerVersion(): EngineReading['peerVersion'] {
    return versionOf(this.#column(15));
  }

  #column(column: number): number {
    return this.#rows[this.#at + column] ?? NaN;
  }

  /** A time that has not come is NaN. */
  #time(column: number): number | undefined {
    const micros = this.#column(column);
    return Number.isNaN(micros) ? undefined : micros;
  }
}

function versionOf(word: number): EngineReading['peerVersion'] {
  return word === 0 ? undefined : [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
}
