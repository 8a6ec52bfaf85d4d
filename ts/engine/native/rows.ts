/**
 * Sessions, routes and readings as rows of numbers, for fast calls of the addon. `crate/src/addon/rows.rs` reads the rows,
 * `crate/src/addon/snapshots.rs` writes them: change both sides together.
 */
import { addressWords, packAddress, type PackedAddress } from '../../base/address.js';
import type { SessionAuth } from '../../protocol/bfd/options.js';
import { DownReason, State } from '../../protocol/state.js';
import type { ArmedRoute, Damping, EngineReading, SessionSpec } from '../engine.js';

const SESSION_COLUMNS = 17;
const ROUTE_COLUMNS = 32;

const MULTIHOP = 1;
const PASSIVE = 2;

const NO_UNINSTALL = 1;
const ADMIN_DOWN = 2;
const ADOPTED = 4;
const KEEP_ON_PEER_ADMIN_DOWN = 8;

/** The sessions, with the names of interfaces and the keys that their rows refer to by position; keys by the position after it. */
export interface SessionRows {
  readonly rows: Uint32Array;
  readonly interfaces: string[];
  readonly auths: SessionAuth[];
}

export function sessionRows(specs: readonly SessionSpec[]): SessionRows {
  const rows = new Uint32Array(specs.length * SESSION_COLUMNS);
  const interfaces = new Map<string, number>();
  const auths: SessionAuth[] = [];
  let at = 0;
  for (const { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult, multihop, minTtl, bfd } of specs) {
    const number = interfaces.get(iface) ?? interfaces.size;
    interfaces.set(iface, number);
    if (bfd?.auth !== undefined) auths.push(bfd.auth);
    rows[at] = id;
    rows[at + 1] = number;
    writeAddress(rows, at + 2, packAddress(localIP));
    writeAddress(rows, at + 6, packAddress(peerIP));
    rows[at + 10] = peerPort;
    rows[at + 11] = txMinUs;
    rows[at + 12] = rxMinUs;
    rows[at + 13] = detectMult;
    rows[at + 14] = (multihop === true ? MULTIHOP : 0) | (bfd?.passive === true ? PASSIVE : 0);
    rows[at + 15] = minTtl ?? 0;
    rows[at + 16] = bfd?.auth === undefined ? 0 : auths.length;
    at += SESSION_COLUMNS;
  }
  return { rows, interfaces: [...interfaces.keys()], auths };
}

/** Routes, with the names of the interfaces of backups that their rows refer to by the position after it. */
export interface RouteRows {
  readonly rows: Uint32Array;
  readonly interfaces: string[];
}

/** Routes to arm. */
export function routeRows(routes: readonly ArmedRoute[], adopted: boolean): RouteRows {
  const interfaces = new Map<string, number>();
  const rows = new Uint32Array(routes.length * ROUTE_COLUMNS);
  let at = 0;
  for (const armed of routes) {
    const { id, sessionId, generation, route } = armed;
    rows[at] = id;
    rows[at + 1] = sessionId;
    rows[at + 2] = generation;
    rows[at + 3] = route.table;
    writeAddress(rows, at + 4, route.destination);
    rows[at + 8] = route.prefixLength;
    writeAddress(rows, at + 9, route.source);
    writeAddress(rows, at + 13, route.nextHop);
    rows[at + 17] = route.protocol;
    rows[at + 18] = route.priority;
    rows[at + 19] = flagsOf(armed) | (adopted ? ADOPTED : 0);
    rows[at + 20] = armed.holdUpMs;
    if (armed.damping !== undefined) rows.set(dampingColumns(armed.damping), at + 21);
    const { backup } = armed;
    if (backup !== undefined) {
      const number = interfaces.get(backup.iface) ?? interfaces.size + 1;
      interfaces.set(backup.iface, number);
      rows[at + 26] = number;
      writeAddress(rows, at + 27, backup.nextHop);
      rows[at + 31] = backup.sessionId ?? 0;
    }
    at += ROUTE_COLUMNS;
  }
  return { rows, interfaces: [...interfaces.keys()] };
}

/** A penalty of 0, which no damping has, stands for none. */
function dampingColumns({ penalty, suppressAbove, reuseBelow, halfLifeMs, maxSuppressMs }: Damping): number[] {
  return [penalty, suppressAbove, reuseBelow, halfLifeMs, maxSuppressMs];
}

function flagsOf({ noUninstall, adminDown, keepOnPeerAdminDown }: ArmedRoute): number {
  return (noUninstall ? NO_UNINSTALL : 0) | (adminDown ? ADMIN_DOWN : 0) | (keepOnPeerAdminDown ? KEEP_ON_PEER_ADMIN_DOWN : 0);
}

/** RFC 4291 §2.5.5.2: the third word of an IPv6 address that stands for an IPv4 address. */
const MAPPED_IPV4 = 0xffff;

/** Four words; an IPv4 address as the IPv6 address that stands for it. */
function writeAddress(rows: Uint32Array, at: number, address: PackedAddress): void {
  if (typeof address === 'number') {
    rows[at + 2] = MAPPED_IPV4;
    rows[at + 3] = address;
  } else {
    rows.set(addressWords(address), at);
  }
}

const SNAPSHOT_COLUMNS = 25;

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
    return this.#optional(5);
  }

  get convDownStartUs(): number | undefined {
    return this.#optional(6);
  }

  get upSinceUs(): number | undefined {
    return this.#optional(7);
  }

  get downSinceUs(): number | undefined {
    return this.#optional(8);
  }

  get detectDeadlineUs(): number | undefined {
    return this.#optional(9);
  }

  get nextDetectScheduledUs(): number | undefined {
    return this.#optional(10);
  }

  get lastUpdatedUs(): number | undefined {
    return this.#optional(11);
  }

  get detectTimeUs(): number {
    return this.#column(12);
  }

  get txIntervalUs(): number {
    return this.#column(13);
  }

  get peerPassive(): boolean | undefined {
    const passive = this.#optional(14);
    return passive === undefined ? undefined : passive !== 0;
  }

  get peerVersion(): EngineReading['peerVersion'] {
    return versionOf(this.#column(15));
  }

  get remoteDetectMult(): number | undefined {
    return this.#optional(16);
  }

  get remoteTxMinUs(): number | undefined {
    return this.#optional(17);
  }

  get remoteRxMinUs(): number | undefined {
    return this.#optional(18);
  }

  get localDiag(): number | undefined {
    return this.#optional(19);
  }

  get remoteDiag(): number | undefined {
    return this.#optional(20);
  }

  get polling(): boolean | undefined {
    const polling = this.#optional(21);
    return polling === undefined ? undefined : polling !== 0;
  }

  get authKeyId(): number | undefined {
    return this.#optional(22);
  }

  get flaps(): number {
    return this.#column(23);
  }

  get worstGapMs(): number | undefined {
    return this.#optional(24);
  }

  #column(column: number): number {
    return this.#rows[this.#at + column] ?? NaN;
  }

  /** What is not there is NaN. */
  #optional(column: number): number | undefined {
    const value = this.#column(column);
    return Number.isNaN(value) ? undefined : value;
  }
}

function versionOf(word: number): EngineReading['peerVersion'] {
  return word === 0 ? undefined : [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
}
