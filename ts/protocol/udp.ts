/** Datagrams with the context that they came in by: the transport that sessions run on. */
import type { Socket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';

import { monotonicNow } from '../base/clock.js';
import { codeOf, expected, LivenessError, messageOf } from '../base/errors.js';
import { hasMethods } from '../base/fields.js';
import { isInterfaceName } from '../base/route.js';
import { closedTransport, DatagramInbox } from './datagram-inbox.js';

/** The port that all peers listen on unless told otherwise (reference name: `DefaultLivenessPort`). */
export const DEFAULT_LIVENESS_PORT = 44880;

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

/**
 * A transport over a bound `node:dgram` socket (reference name: `NewUDPService`). Node shows no packet info: the local
 * address is the socket's, the interface the one that has it, and `writeTo` refuses another source address.
 *
 * @throws LivenessError `ERR_INVALID_ADDRESS` where the socket is bound to no address of its own
 */
export function newUDPService(socket: Socket): UDPService {
  return new DgramService(socket);
}

class DgramService implements UDPService {
  readonly #socket: Socket;
  readonly #localIP: string;
  readonly #inbox = new DatagramInbox();
  readonly #interfaces = new Set<string>();
  #closed = false;
  #closing: Promise<void> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#localIP = boundAddress(socket);
    const iface = interfaceOf(this.#localIP);
    socket.on('message', (data, { address, port }) => {
      this.#inbox.put({ data, remote: { address, port }, localIP: this.#localIP, iface, arrival: monotonicNow() });
    });
    socket.on('error', (error) => this.#inbox.fail(error));
    socket.once('close', () => {
      this.#closed = true;
      this.#inbox.end();
    });
  }

  get dropped(): number {
    return this.#inbox.dropped;
  }

  readFrom(): Promise<Datagram> {
    return this.#inbox.read();
  }

  async writeTo(bytes: Uint8Array, to: Destination, iface?: string, src?: string): Promise<number> {
    if (this.#closed) throw closedTransport();
    checkWrite(bytes, to, iface, src);
    this.#checkInterface(iface);
    if (src !== undefined && src !== this.#localIP) {
      throw new LivenessError('ERR_INVALID_ADDRESS', expected('src', `the socket’s own address, ${this.#localIP}`, src));
    }
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, to.port, to.address, (error, sent) => {
        if (error === null) resolve(sent);
        else reject(error);
      });
    });
  }

  /** Looked up once by name: a listing of interfaces per packet would cost more than the packet. */
  #checkInterface(iface: string | undefined): void {
    if (iface === undefined || iface === '' || this.#interfaces.has(iface)) return;
    if (!hasInterface(iface)) {
      throw new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface of this host', iface));
    }
    this.#interfaces.add(iface);
  }

  setReadDeadline(deadline: number | undefined): void {
    this.#inbox.setDeadline(deadline);
  }

  localAddr(): AddressInfo | undefined {
    if (this.#closed) return undefined;
    try {
      return this.#socket.address();
    } catch {
      // Its owner has closed it, and its event is still to come.
      return undefined;
    }
  }

  /** Every call waits for the one closing. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    const isOpen = this.localAddr() !== undefined;
    this.#closed = true;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    if (isOpen) this.#socket.close();
    await closed;
  }
}

function boundAddress(socket: Socket): string {
  if (!hasMethods(socket, ['address', 'on', 'once', 'send', 'close'])) {
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('socket', 'a socket of node:dgram', socket));
  }
  let address: string;
  try {
    ({ address } = socket.address());
  } catch (cause) {
    throw new LivenessError('ERR_INVALID_ADDRESS', `Expected \`socket\` to be bound: ${messageOf(cause)}`, { cause });
  }
  if (isIPv4(address) && address !== '0.0.0.0') return address;
  throw new LivenessError('ERR_INVALID_ADDRESS', expected('socket', 'bound to one IPv4 address, since Node shows no packet info', address));
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

/** The interface that has an address; the first loopback interface for the loopback net. */
export function interfaceOf(address: string): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some((it) => it.address === address || (it.internal && isLoopback(address)))) return withoutLabel(name);
  }
  return '';
}

/** Node calls an interface by the label of its address, where that has one: `eth0:1`. */
function withoutLabel(name: string): string {
  return name.replace(/:.*/, '');
}

/** Whether the host has an interface of that name, with an address or without. */
export function hasInterface(name: string): boolean {
  // Node lists the labels of addresses, too (`eth0:1`); an interface has no colon in its name.
  if (name.includes(':')) return false;
  // Of what lies in that folder, only interfaces have an index.
  return isInterfaceName(name) && (existsSync(`/sys/class/net/${name}/ifindex`) || networkInterfaces()[name] !== undefined);
}

/** Whether an address is one of this host. */
export function isLocalAddress(address: string): boolean {
  return isLoopback(address) || interfaceOf(address) !== '' || isInLocalTable(address);
}

/** Linux's own word: Node does not list addresses of interfaces that have no carrier, or have had it for less than a second. */
function isInLocalTable(address: string): boolean {
  const table = '/proc/net/fib_trie';
  if (!existsSync(table)) return false;
  const lines = readFileSync(table, 'utf8').split('\n');
  return lines.some((line, index) => line.endsWith(`-- ${address}`) && lines[index + 1]?.trim() === '/32 host LOCAL');
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}
