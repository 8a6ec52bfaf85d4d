/** Datagrams with the context that they came in by: the transport that sessions run on. */
import type { Socket } from 'node:dgram';
import { type AddressInfo, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';

import { monotonicNow } from '../clock.js';
import { expected, LivenessError } from '../errors.js';

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

/** A UDP transport (reference name: `UDPService`). */
export interface UDPService {
  /** The next datagram. Rejects with `ETIMEDOUT` at the read deadline, with `ERR_CLOSED` once closed. */
  readFrom(): Promise<Datagram>;
  /** Sends, and gives the number of bytes. `iface` and `src` choose interface and source address where the transport can. */
  writeTo(bytes: Uint8Array, to: { address: string; port: number }, iface?: string, src?: string): Promise<number>;
  /** Until when `readFrom` waits, in milliseconds of CLOCK_MONOTONIC; `undefined` for ever. */
  setReadDeadline(deadline: number | undefined): void;
  localAddr(): AddressInfo | undefined;
  close(): void | Promise<void>;
}

/** Datagrams that nobody has read yet are kept up to this many; what comes then is dropped, as a socket would. */
const MOST_UNREAD = 4_096;

/**
 * A transport over a bound `node:dgram` socket (reference name: `NewUDPService`). Node shows no packet info: the local
 * address is the socket's, the interface the one that has it, and `writeTo` refuses another source address or an interface
 * that does not have the socket's.
 *
 * @throws LivenessError `ERR_INVALID_ADDRESS` where the socket is bound to no address of its own
 */
export function newUDPService(socket: Socket): UDPService {
  return new DgramService(socket);
}

interface Reader {
  readonly resolve: (datagram: Datagram) => void;
  readonly reject: (error: Error) => void;
}

class DgramService implements UDPService {
  readonly #socket: Socket;
  readonly #localIP: string;
  readonly #unread: Datagram[] = [];
  readonly #readers: Reader[] = [];
  #deadline: NodeJS.Timeout | undefined;
  #isPast = false;
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#localIP = socket.address().address;
    if (this.#localIP === '0.0.0.0') {
      throw new LivenessError(
        'ERR_INVALID_ADDRESS',
        expected('socket', 'bound to one address, since Node shows no packet info', this.#localIP),
      );
    }
    const iface = interfaceOf(this.#localIP);
    socket.on('message', (data, { address, port }) => {
      this.#receive({ data, remote: { address, port }, localIP: this.#localIP, iface, arrival: monotonicNow() });
    });
    socket.on('error', (error) => this.#readers.shift()?.reject(error));
    socket.once('close', () => this.#end());
  }

  readFrom(): Promise<Datagram> {
    const first = this.#unread.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#closed) return Promise.reject(closed());
    if (this.#isPast) return Promise.reject(timedOut());
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  async writeTo(bytes: Uint8Array, { address, port }: { address: string; port: number }, iface?: string, src?: string): Promise<number> {
    if (this.#closed) throw closed();
    if (!isIPv4(address)) throw new LivenessError('ERR_INVALID_ADDRESS', expected('address', 'an IPv4 address', address));
    if (src !== undefined && src !== this.#localIP) {
      throw new LivenessError('ERR_INVALID_ADDRESS', expected('src', `the socket’s own address, ${this.#localIP}`, src));
    }
    if (iface !== undefined && iface !== '' && !hasInterface(iface)) {
      throw new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface of this host', iface));
    }
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, port, address, (error, sent) => {
        if (error === null) resolve(sent);
        else reject(error);
      });
    });
  }

  setReadDeadline(deadline: number | undefined): void {
    clearTimeout(this.#deadline);
    this.#isPast = false;
    if (deadline === undefined) return;
    const expire = (): void => {
      this.#isPast = true;
      for (const { reject } of this.#readers.splice(0)) reject(timedOut());
    };
    const wait = deadline - monotonicNow();
    if (wait <= 0) expire();
    else this.#deadline = setTimeout(expire, Math.ceil(wait)).unref();
  }

  localAddr(): AddressInfo | undefined {
    return this.#closed ? undefined : this.#socket.address();
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.close(() => {
        resolve();
      });
    });
  }

  #receive(datagram: Datagram): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve(datagram);
    else if (this.#unread.length < MOST_UNREAD) this.#unread.push(datagram);
  }

  #end(): void {
    this.#closed = true;
    clearTimeout(this.#deadline);
    for (const { reject } of this.#readers.splice(0)) reject(closed());
  }
}

/** The interface that has an address; the first loopback interface for the loopback net. */
export function interfaceOf(address: string): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some((it) => it.address === address || (it.internal && isLoopback(address)))) return name;
  }
  return '';
}

export function hasInterface(name: string): boolean {
  return networkInterfaces()[name] !== undefined;
}

/** Whether an address is one of this host. */
export function isLocalAddress(address: string): boolean {
  return isLoopback(address) || interfaceOf(address) !== '';
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}

function closed(): Error {
  return new LivenessError('ERR_CLOSED', 'The transport is closed');
}

function timedOut(): Error {
  return new LivenessError('ETIMEDOUT', 'The read deadline has passed');
}
