/** The JavaScript engine's own sockets. */
import type { AddressInfo } from 'node:net';

import { familyOf } from '../../base/address.js';
import type { Header, Protocol } from '../../protocol/protocol.js';
import type { EngineOptions, SessionId } from '../engine.js';
import type { Path, Transmit } from './engine-core.js';
import { LocalSockets } from './local-sockets.js';
import { SourceSockets } from './source-sockets.js';
import type { Transport, TransportListener } from './transport.js';
import { localOf } from './zones.js';

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** The interface of multihop sessions: they have none. */
const NO_INTERFACE = '';

type Addresses = Pick<EngineOptions, 'bindIPs' | 'port' | 'multihopPort'>;

/** A socket per local address, and one per session if the protocol has source ports; another per local address for multihop. */
export class DgramTransport implements Transport {
  /** Node does not report drops. */
  readonly dropped = 0;
  readonly #protocol: Protocol<Header>;
  readonly #addresses: Addresses;
  readonly #listener: TransportListener;
  readonly #local: LocalSockets;
  readonly #sources: SourceSockets | undefined;
  #multihop: LocalSockets | undefined;
  #closed = false;

  private constructor(protocol: Protocol<Header>, addresses: Addresses, listener: TransportListener) {
    this.#protocol = protocol;
    this.#addresses = addresses;
    this.#listener = listener;
    this.#local = new LocalSockets(protocol.ttl, addresses.port, listener);
    this.#sources = protocol.hasSourcePorts ? new SourceSockets(protocol.ttl, listener) : undefined;
  }

  /** @throws LivenessError the system's error if an address cannot be bound */
  static async start(protocol: Protocol<Header>, addresses: Addresses, listener: TransportListener): Promise<DgramTransport> {
    const transport = new DgramTransport(protocol, addresses, listener);
    try {
      // One after the other: the first determines the port if the system chooses it.
      for (const address of transport.#bound) await transport.#local.start(address);
    } catch (error) {
      await transport.close();
      throw error;
    }
    return transport;
  }

  openMultihop(): void {
    if (this.#closed || this.#multihop !== undefined) return;
    this.#multihop = new LocalSockets(this.#protocol.ttl, this.#addresses.multihopPort, this.#listener, NO_INTERFACE);
    for (const address of this.#bound) this.#multihop.keep(address);
  }

  open(session: SessionId, path: Path): void {
    if (this.#closed) return;
    this.#receiving(path).open(localOf(path));
    this.#sources?.open(session, path);
  }

  end(session: SessionId): void {
    this.#sources?.end(session);
  }

  retain(isUsed: (localIP: string) => boolean): void {
    this.#local.retain(isUsed);
    this.#multihop?.retain(isUsed);
  }

  send(transmit: Transmit): void {
    if (this.#closed) return;
    // The socket of a session that is Up receives.
    if (transmit.isProbe) this.#receiving(transmit.path).ensure(transmit.path);
    if (this.#sources === undefined) this.#local.send(transmit);
    else this.#sources.send(transmit);
  }

  fitSendBuffer(sessions: number): void {
    // A socket of its own has room for the packets of a session.
    if (this.#sources === undefined) this.#local.fitSendBuffer(sessions);
  }

  get sendBufferBytes(): number {
    return this.#sources === undefined ? this.#local.sendBufferBytes : 0;
  }

  localAddr(): AddressInfo | undefined {
    const [address = ''] = this.#addresses.bindIPs;
    return this.#closed ? undefined : { address, port: this.#local.port, family: familyOf(address) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#local.close(), this.#multihop?.close(), this.#sources?.close()]);
  }

  /** The addresses that sockets are bound to from the start. */
  get #bound(): string[] {
    return this.#addresses.bindIPs.filter((address) => !WILDCARDS.has(address));
  }

  #receiving({ iface }: Path): LocalSockets {
    return iface === NO_INTERFACE ? (this.#multihop ?? this.#local) : this.#local;
  }
}
