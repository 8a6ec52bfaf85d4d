/** A `UDPService` over a `node:dgram` socket. */
import type { Socket } from 'node:dgram';
import { type AddressInfo, isIPv4 } from 'node:net';

import { monotonicNow } from '../base/clock.js';
import { expected, LivenessError, messageOf } from '../base/errors.js';
import { hasMethods } from '../base/fields.js';
import { hasInterface, interfaceOf } from '../base/host-interfaces.js';
import { DatagramInbox } from './datagram-inbox.js';
import { checkWrite, closedTransport, type Datagram, type Destination, type UDPService } from './udp-service.js';

/**
 * A transport over a bound `node:dgram` socket (reference name: `NewUDPService`). Node has no packet info: the local address of a
 * datagram is the socket's, its interface the one with this address, and `writeTo` refuses another source address.
 *
 * @throws LivenessError `ERR_INVALID_ADDRESS` unless the socket is bound to one address
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

  /** Each name is looked up once: listing the interfaces for each packet would cost more than sending it. */
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
      // The owner has closed the socket, and the `close` event has not come yet.
      return undefined;
    }
  }

  /** Concurrent calls wait for the same closing. */
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
