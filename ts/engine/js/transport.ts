/** What the JavaScript engine sends and receives by: sockets of its own, or a transport of the user's. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { monotonicNow, toMicros } from '../../base/clock.js';
import { codeOf, LivenessError, messageOf, toError } from '../../base/errors.js';
import { promised, readGuarded } from '../../base/guard.js';
import { cannotWrite, checkDatagram, isGone, type UDPService } from '../../protocol/udp-service.js';
import type { Path, Transmit } from './engine-core.js';
import { SendBufferShare, sendBufferToAskFor } from './send-buffer.js';
import { bindingIfAny } from '../native/load.js';

/** Where a transport delivers. */
export interface TransportListener {
  /** `iface` is empty where the transport cannot tell; `nowUs` and `arrivalUs` are on CLOCK_MONOTONIC. */
  datagram(nowUs: number, arrivalUs: number, bytes: Uint8Array, from: string, localIP: string, iface: string): void;
  sent(path: Path): void;
  writeError(path: Path, error: Error): void;
  /** A packet of a session that is Down was not sent: its share of the send buffer, which has so many bytes, is used up. */
  heldBack(path: Path, size: number): void;
  readError(error: Error): void;
  /** A local address cannot be bound, now. */
  notBound(localIP: string, error: Error): void;
  /** The transport is gone, and nothing will bring it back. */
  died(error: Error): void;
  /** A transport of the user's could not be closed. */
  notClosed(error: Error): void;
}

export interface Transport {
  /** Gets ready to use a local address; failures come as write errors of what is sent from it. */
  open(localIP: string): void;
  /** Lets go of what was opened for local addresses that are used no more. */
  retain(isUsed: (localIP: string) => boolean): void;
  send(transmit: Transmit): void;
  /** Makes room for what so many sessions send. */
  fitSendBuffer(sessions: number): void;
  /** In bytes, of the smallest there is; 0 where none is known. */
  readonly sendBufferBytes: number;
  localAddr(): AddressInfo | undefined;
  /** Datagrams that were dropped before they were read, as far as the transport counts them. */
  readonly dropped: number;
  close(): Promise<void>;
}
/** What the packets leave with, as the native engine's do: the most there is. */
const TTL = 255;

/** In bytes; the system gives what it allows. */
const RECEIVE_BUFFER = 4 << 20;

const WILDCARD = '0.0.0.0';

/** So long a transport of the user's may take to close, in milliseconds. */
const CLOSE_PATIENCE_MS = 2_000;

/** One socket per local address, since Node shows no packet info; the first one that is bound chooses the port. */
export class DgramTransport implements Transport {
  /** Node does not tell. */
  readonly dropped = 0;
  readonly #bindIP: string;
  readonly #listener: TransportListener;
  readonly #sockets = new Map<string, Socket>();
  readonly #shares = new WeakMap<Socket, SendBufferShare>();
  /** Of each socket, what the system granted. */
  readonly #sendBuffers = new WeakMap<Socket, number>();
  #sessions = 0;
  /** Whose packets wait for a socket to be bound: Node forgets them, and those who sent them, where it cannot be. */
  readonly #unbound = new Map<Socket, Path[]>();
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

  retain(isUsed: (localIP: string) => boolean): void {
    if (this.#closed) return;
    if (this.#choice !== undefined) {
      // The first socket is needed until it has the port.
      void this.#choice.then(() => this.retain(isUsed));
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
      // A peer that hears neighbours only knows them by it (RFC 5082). What waited for the binding leaves after this.
      socket.setTTL(TTL);
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
      this.#choice = settled.then(() => {
        this.#choice = undefined;
      });
    }
    socket.bind({ address: localIP, port: this.#port, exclusive: true });
    return socket;
  }
}

/**
 * As the native engine's packets are marked. Node can set no TOS: the addon does, where it loads; else routers treat the
 * packets as any other's.
 */
function mark({ address, port }: AddressInfo): void {
  try {
    bindingIfAny()?.NativeUdp.markPackets(address, port);
  } catch {
    // What cannot be marked is sent without a mark.
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

  retain(): void {
    // Which addresses the user's transport serves is the user's matter.
  }

  send({ path, peerPort, bytes }: Transmit): void {
    if (this.#closed) return;
    // Whatever the user's transport throws, at once or later, is a failed write.
    promised(() => this.#udp.writeTo(bytes, { address: path.peerIP, port: peerPort }, path.iface, path.localIP)).then(
      () => this.#listener.sent(path),
      (thrown: unknown) => {
        this.#listener.writeError(path, toError(thrown));
        if (cannotWrite(thrown)) this.#die(thrown);
      },
    );
  }

  fitSendBuffer(): void {
    // The user's transport has what it has.
  }

  readonly sendBufferBytes = 0;

  localAddr(): AddressInfo | undefined {
    return this.#closed ? undefined : readGuarded(() => this.#udp.localAddr(), undefined);
  }

  get dropped(): number {
    const dropped: unknown = readGuarded(() => this.#udp.dropped, undefined);
    return typeof dropped === 'number' && Number.isFinite(dropped) ? dropped : 0;
  }

  /** Whether the user's transport could be closed or not, nothing is read from it or written to it any more. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      await inTime(
        promised(() => this.#udp.close()),
        CLOSE_PATIENCE_MS,
      );
    } catch (thrown) {
      this.#listener.notClosed(toError(thrown));
    }
  }

  async #receive(): Promise<void> {
    for (;;) {
      try {
        const { data, remote, localIP, iface, arrival } = checkDatagram(await promised(() => this.#udp.readFrom()));
        if (this.#closed) return;
        // Nothing arrives in the future: an arrival of another clock's must not keep a session Up for ever.
        const now = monotonicNow();
        this.#listener.datagram(toMicros(now), toMicros(Math.min(arrival, now)), data, remote.address, localIP, iface);
      } catch (error) {
        if (this.isClosed) return;
        if (isGone(error)) {
          this.#die(error);
          return;
        }
        this.#listener.readError(toError(error));
        // A transport that fails at once, again and again, must not spin.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  #die(cause: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    const code = codeOf(cause) ?? 'ERR_CLOSED';
    this.#listener.died(new LivenessError(code, `the transport (\`udp\`) is gone: ${messageOf(cause)}`, { cause }));
  }

  get isClosed(): boolean {
    return this.#closed;
  }
}

/** @throws LivenessError `ETIMEDOUT` where the end does not come in time */
async function inTime(end: Promise<void>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LivenessError('ETIMEDOUT', `no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    await Promise.race([end, late]);
  } finally {
    clearTimeout(timer);
  }
}
