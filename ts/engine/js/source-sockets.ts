/**
 * Sockets that only send, one for each session. RFC 5881 §4: the source port of a session is in 49152 to 65535, and the same for as
 * long as the session lives. Ports are taken from the top, since FRR takes them from the bottom.
 */
import type { Socket } from 'node:dgram';

import { codeOf } from '../../base/errors.js';
import type { SessionId } from '../engine.js';
import type { Path, Transmit } from './engine-core.js';
import { markSocket, newSocket } from './sockets.js';
import type { TransportListener } from './transport.js';
import { localOf, withZone } from './zones.js';

const FIRST_PORT = 49_152;
const LAST_PORT = 65_535;

/** Up to so many sockets the TOS byte is set before the first packet leaves; it takes a tenth of a millisecond then. */
const FEW_SOCKETS = 100;

/** The sending side of one session. */
class Source {
  readonly session: SessionId;
  readonly path: Path;
  port: number;
  /** `undefined` if the address could not be bound, or the socket broke. */
  socket: Socket | undefined;
  isBound = false;
  /** Packets that wait for the socket to be bound. */
  waiting: Transmit[] = [];

  constructor(session: SessionId, path: Path, port: number) {
    this.session = session;
    this.path = path;
    this.port = port;
  }
}

export class SourceSockets {
  readonly #ttl: number;
  readonly #listener: TransportListener;
  readonly #sources = new Map<SessionId, Source>();
  /** Sources whose TOS byte is not set yet. */
  readonly #unmarked: Source[] = [];
  #nextPort = LAST_PORT;
  #closed = false;

  constructor(ttl: number, listener: TransportListener) {
    this.#ttl = ttl;
    this.#listener = listener;
  }

  open(session: SessionId, path: Path): void {
    if (this.#closed || this.#sources.has(session)) return;
    const source = new Source(session, path, this.#takePort());
    this.#sources.set(session, source);
    this.#bind(source);
  }

  send(transmit: Transmit): void {
    const source = this.#sources.get(transmit.session);
    if (source === undefined) return;
    // A session without a socket is tried again with every packet.
    if (source.socket === undefined) this.#bind(source);
    if (source.isBound) this.#pass(source, transmit);
    else source.waiting.push(transmit);
  }

  /** Closes the socket of a session that has ended. */
  end(session: SessionId): void {
    const source = this.#sources.get(session);
    this.#sources.delete(session);
    source?.socket?.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const sockets = [...this.#sources.values()].flatMap(({ socket }) => socket ?? []);
    this.#sources.clear();
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  /** @param attempts how many ports were tried */
  #bind(source: Source, attempts = 1): void {
    const address = localOf(source.path);
    const socket = newSocket(address, undefined);
    source.socket = socket;
    source.isBound = false;
    socket.on('error', (error) => {
      socket.close();
      if (source.socket !== socket) return;
      source.socket = undefined;
      const isTaken = !source.isBound && codeOf(error) === 'EADDRINUSE';
      if (isTaken && attempts <= LAST_PORT - FIRST_PORT) {
        source.port = this.#takePort();
        this.#bind(source, attempts + 1);
      } else {
        this.#failed(source, error);
      }
    });
    socket.on('listening', () => {
      socket.setTTL(this.#ttl);
      source.isBound = true;
      this.#mark(source);
      for (const transmit of source.waiting.splice(0)) this.#pass(source, transmit);
    });
    socket.bind({ address, port: source.port, exclusive: true });
  }

  /** Setting the TOS byte of one socket takes longer the more there are: of many, one in a round of the event loop. */
  #mark(source: Source): void {
    if (this.#sources.size <= FEW_SOCKETS && source.socket !== undefined) {
      markSocket(source.socket);
      return;
    }
    this.#unmarked.push(source);
    if (this.#unmarked.length === 1) setImmediate(() => this.#markNext());
  }

  #markNext(): void {
    const source = this.#unmarked[0];
    if (source?.isBound === true && source.socket !== undefined && this.#sources.has(source.session)) markSocket(source.socket);
    this.#unmarked.shift();
    if (this.#unmarked.length > 0) setImmediate(() => this.#markNext());
  }

  /** The packets that wait are failed writes; the next packet tries again. */
  #failed(source: Source, error: Error): void {
    for (const { path } of source.waiting.splice(0)) this.#listener.writeError(path, error);
    if (source.isBound) this.#listener.readError(error);
    else this.#listener.notBound(source.path.localIP, error);
    source.isBound = false;
  }

  #pass({ socket }: Source, { path, peerPort, bytes }: Transmit): void {
    socket?.send(bytes, peerPort, withZone(path.peerIP, path.iface), (error) => {
      if (error === null) this.#listener.sent(path);
      else this.#listener.writeError(path, error);
    });
  }

  #takePort(): number {
    const port = this.#nextPort;
    this.#nextPort = port === FIRST_PORT ? LAST_PORT : port - 1;
    return port;
  }
}
