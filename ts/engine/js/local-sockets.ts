/** Sockets of one port, one for each local address, since Node has no packet info. */
import type { Socket } from 'node:dgram';
import { once } from 'node:events';

import { monotonicNow, toMicros } from '../../base/clock.js';
import { codeOf, LivenessError, messageOf } from '../../base/errors.js';
import { interfaceIndex } from '../../base/host-interfaces.js';
import type { Path, Transmit } from './engine-core.js';
import { SendBufferShare, sendBufferToAskFor } from './send-buffer.js';
import { markSocket, newSocket } from './sockets.js';
import type { TransportListener } from './transport.js';
import { localOf, splitZone, withZone } from './zones.js';

/** The receive buffer to ask for, in bytes; the system may grant less. */
const RECEIVE_BUFFER = 4 << 20;

/** The first bound socket determines the port. */
export class LocalSockets {
  readonly #ttl: number;
  readonly #listener: TransportListener;
  /** The interface that every received packet is told with; `undefined` if packets of all interfaces are told apart. */
  readonly #iface: string | undefined;
  /** By local address, a link-local one with its zone. */
  readonly #sockets = new Map<string, Socket>();
  /** Addresses whose sockets stay open. */
  readonly #kept = new Set<string>();
  readonly #shares = new WeakMap<Socket, SendBufferShare>();
  /** The send buffer that the system granted each socket, in bytes. */
  readonly #sendBuffers = new WeakMap<Socket, number>();
  /** The interfaces that sockets of link-local addresses were bound on, by index. */
  readonly #interfaces = new WeakMap<Socket, number>();
  #sessions = 0;
  /** The paths of packets that wait for a socket to be bound: if that fails, Node drops them without calling back. */
  readonly #unbound = new Map<Socket, Path[]>();
  #port: number;
  /** If the system chooses the port: settles when the first socket has a port or has failed. Other sockets wait for it. */
  #portChoice: Promise<void> | undefined;
  #closed = false;

  /** @param iface empty for sockets of multihop sessions */
  constructor(ttl: number, port: number, listener: TransportListener, iface?: string) {
    this.#ttl = ttl;
    this.#port = port;
    this.#listener = listener;
    this.#iface = iface;
  }

  get port(): number {
    return this.#port;
  }

  /** Opens the socket of an address, which stays open. @throws LivenessError the system's error if the address cannot be bound */
  async start(address: string): Promise<void> {
    this.#kept.add(address);
    const socket = this.#bind(address);
    try {
      await once(socket, 'listening');
    } catch (cause) {
      throw new LivenessError(codeOf(cause) ?? 'ERR_ENGINE_UNAVAILABLE', `Cannot start on ${address}:${this.#port}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  /** Opens the socket of an address, which stays open. A failure is told as a warning. */
  keep(address: string): void {
    this.#kept.add(address);
    this.open(address);
  }

  open(address: string): void {
    if (this.#closed || this.#sockets.has(address)) return;
    if (this.#portChoice === undefined) this.#bind(address);
    else void this.#portChoice.then(() => this.open(address));
  }

  /**
   * Opens the socket of a path that has none, since binding failed or the socket broke. Opens it anew if its interface was made
   * anew: a socket of a link-local address hears the interface that it was bound on, and not another that got the same name.
   */
  ensure(path: Path): void {
    const address = localOf(path);
    const socket = this.#sockets.get(address);
    const bound = socket === undefined ? undefined : this.#interfaces.get(socket);
    const index = bound === undefined ? undefined : interfaceIndex(path.iface);
    if (index !== undefined && index !== bound) {
      this.#sockets.delete(address);
      socket?.close();
    }
    this.open(address);
  }

  retain(isUsed: (localIP: string) => boolean): void {
    if (this.#closed) return;
    if (this.#portChoice !== undefined) {
      // The first socket is needed until the port is known.
      void this.#portChoice.then(() => this.retain(isUsed));
      return;
    }
    for (const [address, socket] of this.#sockets) {
      if (this.#kept.has(address) || isUsed(splitZone(address).address)) continue;
      this.#sockets.delete(address);
      this.#unbound.delete(socket);
      socket.close();
    }
  }

  send(transmit: Transmit): void {
    const { path, peerPort, bytes } = transmit;
    if (this.#closed) return;
    const address = localOf(path);
    const bound = this.#sockets.get(address);
    if (bound === undefined && this.#portChoice !== undefined) {
      void this.#portChoice.then(() => this.send(transmit));
      return;
    }
    // An address without a socket, since binding failed or the socket broke, is tried again with every packet.
    const socket = bound ?? this.#bind(address);
    const size = this.#sendBuffers.get(socket);
    if (transmit.isProbe && size !== undefined && !this.#hasRoom(socket, size, address)) {
      this.#listener.heldBack(path, size);
      return;
    }
    this.#unbound.get(socket)?.push(path);
    socket.send(bytes, peerPort, withZone(path.peerIP, path.iface), (error) => {
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

  async close(): Promise<void> {
    this.#closed = true;
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  /** Whether the send buffer has room for a packet of a Down session. Packets that wait in Node found no room. */
  #hasRoom(socket: Socket, size: number, address: string): boolean {
    const share = this.#shares.get(socket) ?? new SendBufferShare();
    this.#shares.set(socket, share);
    return socket.getSendQueueCount() === 0 && share.take(monotonicNow(), size, address, this.#port);
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

  #bind(address: string): Socket {
    let isBound = false;
    const { address: localIP, zone: bindZone } = splitZone(address);
    const socket = newSocket(address, RECEIVE_BUFFER);
    this.#sockets.set(address, socket);
    this.#unbound.set(socket, []);
    socket.on('message', (data, remote) => {
      const now = toMicros(monotonicNow());
      const { address: from, zone } = splitZone(remote.address);
      this.#listener.datagram(now, now, data, from, localIP, this.#iface ?? zone);
    });
    socket.on('error', (error) => {
      this.#sockets.delete(address);
      socket.close();
      for (const path of this.#unbound.get(socket) ?? []) this.#listener.writeError(path, error);
      this.#unbound.delete(socket);
      if (isBound) this.#listener.readError(error);
      else this.#listener.notBound(address, error);
    });
    socket.on('listening', () => {
      isBound = true;
      this.#unbound.delete(socket);
      // Packets that waited for the binding leave after this.
      socket.setTTL(this.#ttl);
      markSocket(socket);
      this.#askForSendBuffer(socket);
      this.#port = socket.address().port;
      const index = bindZone === undefined ? undefined : interfaceIndex(bindZone);
      if (index !== undefined) this.#interfaces.set(socket, index);
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
    socket.bind({ address, port: this.#port, exclusive: true });
    return socket;
  }
}
