/** The JavaScript engine's own sockets. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { monotonicNow, toMicros } from '../../base/clock.js';
import { codeOf, LivenessError, messageOf } from '../../base/errors.js';
import type { Header, Protocol } from '../../protocol/protocol.js';
import { bindingIfAny } from '../native/load.js';
import type { Path, Transmit } from './engine-core.js';
import { SendBufferShare, sendBufferToAskFor } from './send-buffer.js';
import type { Transport, TransportListener } from './transport.js';

/** The receive buffer to ask for, in bytes; the system may grant less. */
const RECEIVE_BUFFER = 4 << 20;

const WILDCARD = '0.0.0.0';

/** One socket per local address, since Node has no packet info. The first bound socket determines the port. */
export class DgramTransport implements Transport {
  /** Node does not report drops. */
  readonly dropped = 0;
  readonly #protocol: Protocol<Header>;
  readonly #bindIP: string;
  readonly #listener: TransportListener;
  readonly #sockets = new Map<string, Socket>();
  readonly #shares = new WeakMap<Socket, SendBufferShare>();
  /** The send buffer that the system granted each socket, in bytes. */
  readonly #sendBuffers = new WeakMap<Socket, number>();
  #sessions = 0;
  /** The paths of packets that wait for a socket to be bound: if that fails, Node drops them without calling back. */
  readonly #unbound = new Map<Socket, Path[]>();
  #port: number;
  /** If the system chooses the port: settles when the first socket has a port or has failed. Other sockets wait for it. */
  #portChoice: Promise<void> | undefined;
  #closed = false;

  private constructor(protocol: Protocol<Header>, bindIP: string, port: number, listener: TransportListener) {
    this.#protocol = protocol;
    this.#bindIP = bindIP;
    this.#port = port;
    this.#listener = listener;
  }

  /** @throws LivenessError the system's error where the address cannot be bound */
  static async start(protocol: Protocol<Header>, bindIP: string, port: number, listener: TransportListener): Promise<DgramTransport> {
    const transport = new DgramTransport(protocol, bindIP, port, listener);
    if (bindIP === WILDCARD) return transport;
    const socket = transport.#bind(bindIP);
    try {
      await once(socket, 'listening');
    } catch (cause) {
      throw new LivenessError(codeOf(cause) ?? 'ERR_ENGINE_UNAVAILABLE', `Cannot start on ${bindIP}:${port}: ${messageOf(cause)}`, {
        cause,
      });
    }
    return transport;
  }

  open(localIP: string): void {
    if (this.#closed || this.#sockets.has(localIP)) return;
    if (this.#portChoice === undefined) this.#bind(localIP);
    else void this.#portChoice.then(() => this.open(localIP));
  }

  retain(isUsed: (localIP: string) => boolean): void {
    if (this.#closed) return;
    if (this.#portChoice !== undefined) {
      // The first socket is needed until the port is known.
      void this.#portChoice.then(() => this.retain(isUsed));
      return;
    }
    for (const [localIP, socket] of this.#sockets) {
      if (localIP === this.#bindIP || isUsed(localIP)) continue;
      this.#sockets.delete(localIP);
      this.#unbound.delete(socket);
      socket.close();
    }
  }

  send(transmit: Transmit): void {
    const { path, peerPort, bytes } = transmit;
    if (this.#closed) return;
    const bound = this.#sockets.get(path.localIP);
    if (bound === undefined && this.#portChoice !== undefined) {
      void this.#portChoice.then(() => this.send(transmit));
      return;
    }
    // An address without a socket, since binding failed or the socket broke, is tried again with every packet.
    const socket = bound ?? this.#bind(path.localIP);
    const size = this.#sendBuffers.get(socket);
    if (transmit.isProbe && size !== undefined && !this.#hasRoom(socket, size, path.localIP)) {
      this.#listener.heldBack(path, size);
      return;
    }
    this.#unbound.get(socket)?.push(path);
    socket.send(bytes, peerPort, path.peerIP, (error) => {
      if (error === null) this.#listener.sent(path);
      else this.#listener.writeError(path, error);
    });
  }

  fitSendBuffer(sessions: number): void {
    if (sendBufferToAskFor(sessions) === sendBufferToAskFor(this.#sessions)) return;
    this.#sessions = sessions;
    for (const socket of this.#sockets.values()) {
      if (this.#sendBuffers.has(socket)) this.#askForSendBuffer(socket);
    }
  }

  get sendBufferBytes(): number {
    const sizes = [...this.#sockets.values()].map((socket) => this.#sendBuffers.get(socket) ?? Infinity);
    const least = Math.min(...sizes);
    return least === Infinity ? 0 : least;
  }

  /** Whether the send buffer has room for a packet of a Down session. Packets that wait in Node found no room. */
  #hasRoom(socket: Socket, size: number, localIP: string): boolean {
    const share = this.#shares.get(socket) ?? new SendBufferShare();
    this.#shares.set(socket, share);
    return socket.getSendQueueCount() === 0 && share.take(monotonicNow(), size, localIP, this.#port);
  }

  #askForSendBuffer(socket: Socket): void {
    try {
      // Linux doubles the size, up to the host's limit: socket(7).
      socket.setSendBufferSize(sendBufferToAskFor(this.#sessions) / 2);
    } catch {
      // Some systems refuse more than their limit: the buffer keeps its size.
    }
    this.#sendBuffers.set(socket, socket.getSendBufferSize());
  }

  localAddr(): AddressInfo | undefined {
    return this.#closed ? undefined : { address: this.#bindIP, port: this.#port, family: 'IPv4' };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  #bind(localIP: string): Socket {
    let isBound = false;
    const lookup = (address: string, _: object, found: (error: null, address: string, family: number) => void): void => {
      // All addresses are numeric. `bind` must report asynchronously; a packet need not wait.
      if (isBound) found(null, address, 4);
      else process.nextTick(found, null, address, 4);
    };
    const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER, lookup });
    this.#sockets.set(localIP, socket);
    this.#unbound.set(socket, []);
    socket.unref();
    socket.on('message', (data, { address }) => {
      const now = toMicros(monotonicNow());
      this.#listener.datagram(now, now, data, address, localIP, '');
    });
    socket.on('error', (error) => {
      this.#sockets.delete(localIP);
      socket.close();
      for (const path of this.#unbound.get(socket) ?? []) this.#listener.writeError(path, error);
      this.#unbound.delete(socket);
      if (isBound) this.#listener.readError(error);
      else this.#listener.notBound(localIP, error);
    });
    socket.on('listening', () => {
      isBound = true;
      this.#unbound.delete(socket);
      // Packets that waited for the binding leave after this.
      socket.setTTL(this.#protocol.ttl);
      this.#askForSendBuffer(socket);
      const bound = socket.address();
      mark(bound);
      this.#port = bound.port;
    });
    if (this.#port === 0) {
      const settled = new Promise<void>((resolve) => {
        socket.once('listening', resolve);
        socket.once('error', () => resolve());
      });
      this.#portChoice = settled.then(() => {
        this.#portChoice = undefined;
      });
    }
    socket.bind({ address: localIP, port: this.#port, exclusive: true });
    return socket;
  }
}

/** Sets the TOS byte of a socket. Node cannot; the addon can, if it loads. Without it packets have the default TOS. */
function mark({ address, port }: AddressInfo): void {
  try {
    bindingIfAny()?.NativeUdp.markPackets(address, port);
  } catch {
    // The packets have the default TOS.
  }
}
