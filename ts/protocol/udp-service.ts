/** The interface of a UDP transport, and checks of what goes through one. */
import { type AddressInfo, isIPv4 } from 'node:net';

import { codeOf, expected, LivenessError } from '../base/errors.js';

/** A received datagram. */
export interface Datagram {
  readonly data: Uint8Array;
  readonly remote: { readonly address: string; readonly port: number };
  /** The address that it was sent to. */
  readonly localIP: string;
  /** The interface that it came in by; empty where the transport cannot tell. */
  readonly iface: string;
  /** When it arrived, in milliseconds of CLOCK_MONOTONIC. */
  readonly arrival: number;
}

/** Where a datagram goes. */
export interface Destination {
  readonly address: string;
  readonly port: number;
}

/** A UDP transport (reference name: `UDPService`). */
export interface UDPService {
  /** The next datagram. Rejects with `ETIMEDOUT` at the read deadline, with `ERR_CLOSED` once closed. */
  readFrom(): Promise<Datagram>;
  /** Sends, and gives the number of bytes. `iface` and `src` choose interface and source address where the transport can. */
  writeTo(bytes: Uint8Array, to: Destination, iface?: string, src?: string): Promise<number>;
  /**
   * Until when `readFrom` waits, in milliseconds of CLOCK_MONOTONIC; `undefined` for ever.
   *
   * @throws LivenessError `ERR_CONFIG` where it is no time
   */
  setReadDeadline(deadline: number | undefined): void;
  localAddr(): AddressInfo | undefined;
  close(): void | Promise<void>;
  /** How many datagrams were dropped since nobody had read those before; not there where the transport does not count. */
  readonly dropped?: number | undefined;
}

/** What no further read or write of a transport will mend. */
const GONE: ReadonlySet<string | undefined> = new Set(['ERR_CLOSED', 'EBADF', 'ENOTSOCK', 'ERR_SOCKET_DGRAM_NOT_RUNNING']);

/** Whether a read failed since the transport is gone. */
export function isGone(thrown: unknown): boolean {
  return cannotWrite(thrown) || codeOf(thrown) === 'ENODEV';
}

/** Whether a write failed since the transport is gone. What has no device may be one of its interfaces. */
export function cannotWrite(thrown: unknown): boolean {
  return GONE.has(codeOf(thrown));
}

export function closedTransport(): Error {
  return new LivenessError('ERR_CLOSED', 'The transport is closed');
}

/** What a transport of the user's has read. @throws LivenessError `ERR_INVALID_PACKET` */
export function checkDatagram(given: unknown): Datagram {
  const { data, remote, localIP, iface, arrival } = (typeof given === 'object' && given !== null ? given : {}) as Partial<Datagram>;
  checkRead(data instanceof Uint8Array, 'data', 'a Uint8Array', data);
  const address: unknown = typeof remote === 'object' ? (remote as Destination | null)?.address : undefined;
  checkRead(typeof address === 'string' && isIPv4(address), 'remote.address', 'an IPv4 address', address);
  checkRead(typeof localIP === 'string' && isIPv4(localIP), 'localIP', 'an IPv4 address', localIP);
  checkRead(typeof iface === 'string', 'iface', 'a string', iface);
  checkRead(typeof arrival === 'number' && Number.isFinite(arrival), 'arrival', 'a number of milliseconds', arrival);
  return given as Datagram;
}

function checkRead(holds: boolean, path: string, what: string, got: unknown): void {
  if (!holds) throw new LivenessError('ERR_INVALID_PACKET', expected(path, what, got));
}

/** @throws LivenessError `ERR_INVALID_PACKET`, `ERR_INVALID_ADDRESS`, `ERR_NO_SUCH_INTERFACE` */
export function checkWrite(bytes: Uint8Array, to: Destination, iface: unknown, src: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw new LivenessError('ERR_INVALID_PACKET', expected('bytes', 'a Uint8Array', bytes));
  const { address, port }: { address?: unknown; port?: unknown } = typeof to === 'object' && (to as unknown) !== null ? to : {};
  if (typeof address !== 'string' || !isIPv4(address)) {
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('address', 'an IPv4 address', address));
  }
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('port', 'an integer from 1 to 65535', port));
  }
  if (iface !== undefined && typeof iface !== 'string') {
    throw new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface', iface));
  }
  if (src !== undefined && (typeof src !== 'string' || !isIPv4(src)))
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('src', 'an IPv4 address', src));
}
