/** The interface of a UDP transport, and checks of what goes through one. */
import { type AddressInfo, isIP, isIPv4 } from 'node:net';

import { codeOf, expected, LivenessError } from '../base/errors.js';

/** A received datagram. */
export interface Datagram {
  readonly data: Uint8Array;
  readonly remote: { readonly address: string; readonly port: number };
  /** The destination address. */
  readonly localIP: string;
  /** The receiving interface; empty if the transport does not know it. */
  readonly iface: string;
  /** The arrival in milliseconds of CLOCK_MONOTONIC. */
  readonly arrival: number;
}

/** The destination of a datagram. */
export interface Destination {
  readonly address: string;
  readonly port: number;
}

/** A UDP transport (reference name: `UDPService`). */
export interface UDPService {
  /** Resolves with the next datagram. Rejects with `ETIMEDOUT` at the read deadline, and with `ERR_CLOSED` after `close`. */
  readFrom(): Promise<Datagram>;
  /** Sends bytes, and resolves with their number. `iface` and `src` choose interface and source address, if the transport can. */
  writeTo(bytes: Uint8Array, to: Destination, iface?: string, src?: string): Promise<number>;
  /**
   * Sets the deadline of `readFrom` in milliseconds of CLOCK_MONOTONIC; `undefined` for none.
   *
   * @throws LivenessError `ERR_CONFIG` if it is no time
   */
  setReadDeadline(deadline: number | undefined): void;
  localAddr(): AddressInfo | undefined;
  close(): void | Promise<void>;
  /** The number of datagrams dropped because the queue of unread ones was full. Not defined if the transport does not count them. */
  readonly dropped?: number | undefined;
}

/** The codes of errors after which every read and write of a transport fails. */
const GONE: ReadonlySet<string | undefined> = new Set(['ERR_CLOSED', 'EBADF', 'ENOTSOCK', 'ERR_SOCKET_DGRAM_NOT_RUNNING']);

/** Whether a read failed because the transport is closed or broken for good. */
export function isGone(thrown: unknown): boolean {
  return cannotWrite(thrown) || codeOf(thrown) === 'ENODEV';
}

/** Whether a write failed because the transport is closed or broken for good. ENODEV may be about one interface only. */
export function cannotWrite(thrown: unknown): boolean {
  return GONE.has(codeOf(thrown));
}

export function closedTransport(): Error {
  return new LivenessError('ERR_CLOSED', 'The transport is closed');
}

/** Validates a datagram of the user's transport. @throws LivenessError `ERR_INVALID_PACKET` */
export function checkDatagram(given: unknown): Datagram {
  const { data, remote, localIP, iface, arrival } = (typeof given === 'object' && given !== null ? given : {}) as Partial<Datagram>;
  checkRead(data instanceof Uint8Array, 'data', 'a Uint8Array', data);
  const address: unknown = typeof remote === 'object' ? (remote as Destination | null)?.address : undefined;
  checkRead(typeof address === 'string' && isIP(address) !== 0, 'remote.address', 'an IP address', address);
  checkRead(typeof localIP === 'string' && isIP(localIP) !== 0, 'localIP', 'an IP address', localIP);
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
