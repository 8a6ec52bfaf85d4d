/** The JavaScript engine over a transport of the user's. */
import type { AddressInfo } from 'node:net';

import { monotonicNow, toMicros } from '../../base/clock.js';
import { codeOf, LivenessError, messageOf, toError } from '../../base/errors.js';
import { promised, readGuarded } from '../../base/guard.js';
import { TIMED_OUT, within } from '../../base/timeout.js';
import { cannotWrite, checkDatagram, isGone, type UDPService } from '../../protocol/udp-service.js';
import type { Transmit } from './engine-core.js';
import type { Transport, TransportListener } from './transport.js';

/** How long the user's transport may take to close. */
const CLOSE_TIMEOUT_MS = 2_000;

const PAUSE_AFTER_ERROR_MS = 10;

/**
 * Sends and receives with the user's `UDPService`. Nothing that it throws or rejects with ends the engine, except that it is gone.
 *
 * In BFD the service has to receive on port 3784, and to send with a TTL of 255 from a port in 49152 to 65535, the same one for as
 * long as a session lives (RFC 5881 §4, §5). Multihop sessions are refused.
 */
export class ServiceTransport implements Transport {
  readonly #udp: UDPService;
  readonly #listener: TransportListener;
  #closed = false;

  constructor(udp: UDPService, listener: TransportListener) {
    this.#udp = udp;
    this.#listener = listener;
    void this.#receive();
  }

  openMultihop(): void {
    throw new LivenessError(
      'ERR_ENGINE_UNAVAILABLE',
      'Multihop sessions have a port of their own, and a transport of yours (`udp`) does not tell the port of a packet',
    );
  }

  open(): void {
    // The user has opened the transport, for the addresses that it serves.
  }

  end(): void {
    // The user decides which ports packets leave from.
  }

  retain(): void {
    // The user decides which addresses the transport serves.
  }

  send({ path, peerPort, bytes }: Transmit): void {
    if (this.#closed) return;
    // An exception counts as a failed write, as a rejection does.
    promised(() => this.#udp.writeTo(bytes, { address: path.peerIP, port: peerPort }, path.iface, path.localIP)).then(
      () => this.#listener.sent(path),
      (thrown: unknown) => {
        this.#listener.writeError(path, toError(thrown));
        if (cannotWrite(thrown)) this.#die(thrown);
      },
    );
  }

  fitSendBuffer(): void {
    // The user sets the buffers of the transport.
  }

  readonly sendBufferBytes = 0;

  localAddr(): AddressInfo | undefined {
    return this.#closed ? undefined : readGuarded(() => this.#udp.localAddr(), undefined);
  }

  get dropped(): number {
    const dropped: unknown = readGuarded(() => this.#udp.dropped, undefined);
    return typeof dropped === 'number' && Number.isFinite(dropped) ? dropped : 0;
  }

  /** Stops reading and writing, even if the user's transport cannot be closed. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      const closed = promised(() => this.#udp.close());
      if ((await within(closed, CLOSE_TIMEOUT_MS)) === TIMED_OUT) {
        throw new LivenessError('ETIMEDOUT', `no answer within ${CLOSE_TIMEOUT_MS} ms`);
      }
    } catch (thrown) {
      this.#listener.notClosed(toError(thrown));
    }
  }

  async #receive(): Promise<void> {
    for (;;) {
      try {
        const { data, remote, localIP, iface, arrival } = checkDatagram(await promised(() => this.#udp.readFrom()));
        if (this.#closed) return;
        // An arrival in the future is of another clock: it must not keep a session Up for ever.
        const now = monotonicNow();
        this.#listener.datagram(
          toMicros(now),
          toMicros(Math.min(arrival, now)),
          data,
          remote.address,
          localIP,
          iface === '' ? undefined : iface,
        );
      } catch (error) {
        if (this.isClosed) return;
        if (isGone(error)) {
          this.#die(error);
          return;
        }
        this.#listener.readError(toError(error));
        // A transport that fails at once, again and again, must not keep the event loop busy.
        await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_ERROR_MS).unref());
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
