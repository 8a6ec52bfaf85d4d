/** What the JavaScript engine sends and receives by: sockets of its own, or a transport of the user's. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { monotonicNow, toMicros } from '../clock.js';
import { codeOf, expected, LivenessError, messageOf } from '../errors.js';
import type { Datagram, UDPService } from '../protocol/udp.js';
import type { Path, Transmit } from './core.js';
import { SendBufferShare, sendBufferToAskFor } from './send-buffer.js';

/** Where a transport delivers. */
export interface TransportListener {
  /** `iface` is empty where the transport cannot tell; `nowUs` and `arrivalUs` are on CLOCK_MONOTONIC. */
  datagram(nowUs: number, arrivalUs: number, bytes: Uint8Array, from: string, localIP: string, iface: string): void;
  sent(path: Path): void;
  writeError(path: Path, error: Error): void;
  /** A packet of a session that is Down was not sent: its share of the send buffer, which has so many bytes, is used up. */
  heldBack(path: Path, size: number): void;
  readError(error: Error): void;
  /** A local address cannot be used, now. */
  failed(localIP: string, error: Error): void;
}

export interface Transport {
  /** Gets ready to use a local address; failures come as write errors of what is sent from it. */
  open(localIP: string): void;
  send(transmit: Transmit): void;
  /** Makes room for what so many sessions send. */
  fitSendBuffer(sessions: number): void;
  /** In bytes, of the smallest there is; 0 where none is known. */
  readonly sendBufferBytes: number;
  localAddr(): AddressInfo | undefined;
  close(): Promise<void>;
}
/** What the packets leave with, as the native engine's do: the most there is. */
const TTL = 255;

/** In bytes; the system gives what it allows. */
const RECEIVE_BUFFER = 4 << 20;

const WILDCARD = '0.0.0.0';

/** One socket per local address, since Node shows no packet info; the first one that is bound chooses the port. */
export class DgramTransport implements Transport {
  readonly #bindIP: string;
  readonly #listener: TransportListener;
  readonly #sockets = new Map<string, Socket>();
  readonly #shares = new WeakMap<Socket, SendBufferShare>();
  /** Of each socket, what the system granted. */
  readonly #sendBuffers = new WeakMap<Socket, number>();
  #sessions = 0;
  #port: number;
  /** Where the system chooses the port: settles when the first socket has it, or has failed. The others take the same. */
  #choice: Promise<void> | undefined;
  #closed = false;

  private constructor(bindIP: string, port: number, listener: TransportListener) {
    this.#bindIP = bindIP;
    this.#port = port;
    this.#listener = listener;
  }

  /** @throws LivenessError the system's error where the address cannot be bound */
  static async start(bindIP: string, port: number, listener: TransportListener): Promise<DgramTransport> {
    const transport = new DgramTransport(bindIP, port, listener);
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
    if (this.#choice === undefined) this.#bind(localIP);
    else void this.#choice.then(() => this.open(localIP));
  }

  send(transmit: Transmit): void {
    const { path, peerPort, bytes } = transmit;
    if (this.#closed) return;
    const bound = this.#sockets.get(path.localIP);
    if (bound === undefined && this.#choice !== undefined) {
      void this.#choice.then(() => this.send(transmit));
      return;
    }
    // One that could not be bound, or has failed since, is tried again with every packet.
    const socket = bound ?? this.#bind(path.localIP);
    const size = this.#sendBuffers.get(socket);
    if (transmit.isProbe && size !== undefined && !this.#hasRoom(socket, size, path.localIP)) {
      this.#listener.heldBack(path, size);
      return;
    }
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

  /** Whether a packet of a session that is Down may go into the send buffer: what waits in Node found no room in it. */
  #hasRoom(socket: Socket, size: number, localIP: string): boolean {
    const share = this.#shares.get(socket) ?? new SendBufferShare();
    this.#shares.set(socket, share);
    return socket.getSendQueueCount() === 0 && share.take(monotonicNow(), size, localIP, this.#port);
  }

  #askForSendBuffer(socket: Socket): void {
    try {
      // Linux doubles what is asked for, and gives what the host's limit allows: socket(7).
      socket.setSendBufferSize(sendBufferToAskFor(this.#sessions) / 2);
    } catch {
      // A system that refuses more than its limit: the buffer is as large as before.
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
      // Numeric, all of them. Binding reports after the call that asked for it; a packet need not wait for that.
      if (isBound) found(null, address, 4);
      else process.nextTick(found, null, address, 4);
    };
    const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER, lookup });
    this.#sockets.set(localIP, socket);
    socket.unref();
    socket.on('message', (data, { address }) => {
      const now = toMicros(monotonicNow());
      this.#listener.datagram(now, now, data, address, localIP, '');
    });
    socket.on('error', (error) => {
      this.#sockets.delete(localIP);
      socket.close();
      this.#listener.failed(localIP, error);
    });
    socket.on('listening', () => {
      isBound = true;
      // A peer that hears neighbours only knows them by it (RFC 5082). What waited for the binding leaves after this.
      socket.setTTL(TTL);
      this.#askForSendBuffer(socket);
      this.#port = socket.address().port;
    });
    if (this.#port === 0) {
      const settled = new Promise<void>((resolve) => {
        socket.once('listening', resolve);
        socket.once('error', () => resolve());
      });
      this.#choice = settled.then(() => {
        this.#choice = undefined;
      });
    }
    socket.bind({ address: localIP, port: this.#port, exclusive: true });
    return socket;
  }
}

/** A transport of the user's. */
export class ServiceTransport implements Transport {
  readonly #udp: UDPService;
  readonly #listener: TransportListener;
  #closed = false;

  constructor(udp: UDPService, listener: TransportListener) {
    this.#udp = udp;
    this.#listener = listener;
    void this.#receive();
  }

  open(): void {
    // The user's transport is open already, for whatever addresses it serves.
  }

  send({ path, peerPort, bytes }: Transmit): void {
    if (this.#closed) return;
    // Whatever the user's transport throws, at once or later, is a failed write.
    const write = async (): Promise<number> => this.#udp.writeTo(bytes, { address: path.peerIP, port: peerPort }, path.iface, path.localIP);
    write().then(
      () => this.#listener.sent(path),
      (thrown: unknown) => this.#listener.writeError(path, thrown instanceof Error ? thrown : new Error(String(thrown))),
    );
  }

  fitSendBuffer(): void {
    // The user's transport has what it has.
  }

  readonly sendBufferBytes = 0;

  localAddr(): AddressInfo | undefined {
    return this.#closed ? undefined : this.#udp.localAddr();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#udp.close();
  }

  async #receive(): Promise<void> {
    for (;;) {
      try {
        const { data, remote, localIP, iface, arrival } = checked(await this.#udp.readFrom());
        // Nothing arrives in the future: an arrival of another clock's must not keep a session Up for ever.
        const now = monotonicNow();
        this.#listener.datagram(toMicros(now), toMicros(Math.min(arrival, now)), data, remote.address, localIP, iface);
      } catch (error) {
        if (this.isClosed || codeOf(error) === 'ERR_CLOSED') return;
        this.#listener.readError(error as Error);
        // A transport that fails at once, again and again, must not spin.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  get isClosed(): boolean {
    return this.#closed;
  }
}

/** What a transport of the user's has read. @throws LivenessError `ERR_INVALID_PACKET` */
function checked(datagram: Datagram): Datagram {
  const { data, arrival } = datagram;
  if (!(data instanceof Uint8Array)) throw new LivenessError('ERR_INVALID_PACKET', expected('data', 'a Uint8Array', data));
  if (!Number.isFinite(arrival)) throw new LivenessError('ERR_INVALID_PACKET', expected('arrival', 'a number of milliseconds', arrival));
  return datagram;
}
