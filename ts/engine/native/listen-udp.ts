/** `listenUDP`: a UDP transport with packet info, if the addon loads. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, isIPv4 } from 'node:net';

import { codeOf, expected, LivenessError, messageOf, toError } from '../../base/errors.js';
import { DatagramInbox } from '../../protocol/datagram-inbox.js';
import { newUDPService } from '../../protocol/dgram-service.js';
import { checkWrite, closedTransport, type Datagram, type Destination, type UDPService } from '../../protocol/udp-service.js';
import type { Binding, NativeUdpHandle } from './binding.js';
import { bindingIfAny } from './load.js';

/**
 * Binds an IPv4 UDP socket to `bindIP:port` (reference name: `ListenUDP`). With the addon, every datagram has its destination
 * address, its interface and its arrival in the kernel, and `writeTo` chooses source address and interface. Without the addon,
 * the transport uses `node:dgram` and has the limits of `newUDPService`.
 *
 * @param port 0 to 65 535; 0 takes a free one
 * @throws LivenessError `ERR_INVALID_ADDRESS`; `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`
 */
export async function listenUDP(bindIP: string, port: number): Promise<UDPService> {
  if (typeof bindIP !== 'string' || !isIPv4(bindIP)) {
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('bindIP', 'an IPv4 address', bindIP));
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new LivenessError('ERR_INVALID_ADDRESS', expected('port', 'an integer from 0 to 65535', port));
  }
  const binding = bindingIfAny();
  try {
    return binding === undefined ? await listenDgram(bindIP, port) : new NativeUdpService(binding, bindIP, port);
  } catch (cause) {
    throw new LivenessError(codeOf(cause) ?? 'ERR_ENGINE_UNAVAILABLE', `Cannot listen on ${bindIP}:${port}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

async function listenDgram(bindIP: string, port: number): Promise<UDPService> {
  const socket = createSocket('udp4');
  try {
    socket.bind({ address: bindIP, port, exclusive: true });
    await once(socket, 'listening');
    return newUDPService(socket);
  } catch (error) {
    socket.close();
    throw error;
  }
}

class NativeUdpService implements UDPService {
  readonly #handle: NativeUdpHandle;
  readonly #inbox = new DatagramInbox();
  #closed = false;

  constructor(binding: Binding, bindIP: string, port: number) {
    this.#handle = new binding.NativeUdp(bindIP, port, () => this.#receive());
  }

  get dropped(): number {
    return this.#inbox.dropped;
  }

  readFrom(): Promise<Datagram> {
    return this.#inbox.read();
  }

  writeTo(bytes: Uint8Array, to: Destination, iface?: string, src?: string): Promise<number> {
    // Inside the promise, so that a wrong argument rejects.
    return new Promise((resolve) => {
      if (this.#closed) throw closedTransport();
      checkWrite(bytes, to, iface, src);
      resolve(this.#send(bytes, to, iface === '' ? undefined : iface, src));
    });
  }

  setReadDeadline(deadline: number | undefined): void {
    this.#inbox.setDeadline(deadline);
  }

  localAddr(): AddressInfo | undefined {
    const bound = this.#handle.localAddr();
    return bound === null ? undefined : { ...bound, family: 'IPv4' };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close();
    this.#inbox.end();
  }

  #send(bytes: Uint8Array, { address, port }: Destination, iface: string | undefined, src: string | undefined): number {
    try {
      return this.#handle.send(bytes, address, port, iface, src);
    } catch (cause) {
      if (codeOf(cause) !== 'ENODEV') throw cause;
      throw new LivenessError('ERR_NO_SUCH_INTERFACE', expected('iface', 'the name of an interface of this host', iface), { cause });
    }
  }

  #receive(): void {
    if (this.#closed) return;
    try {
      for (const { data, address, port, localIP, iface, arrivalUs } of this.#handle.take()) {
        this.#inbox.put({ data, remote: { address, port }, localIP, iface, arrival: arrivalUs / 1_000 });
      }
    } catch (error) {
      // The thread has ended: no datagram will follow.
      this.#inbox.fail(toError(error));
      this.close();
    }
  }
}
