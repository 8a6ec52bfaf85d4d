/** The interface between the JavaScript engine and what it sends and receives with. */
import type { AddressInfo } from 'node:net';

import type { SessionId } from '../engine.js';
import type { Path, Transmit } from './engine-core.js';

/** Receives what a transport has read, and reports of what it did. */
export interface TransportListener {
  /**
   * `iface` is `undefined` if the transport does not know it, and empty for a packet to the port of multihop sessions; `nowUs` and
   * `arrivalUs` are times of CLOCK_MONOTONIC.
   */
  datagram(nowUs: number, arrivalUs: number, bytes: Uint8Array, from: string, localIP: string, iface: string | undefined): void;
  sent(path: Path): void;
  writeError(path: Path, error: Error): void;
  /** A packet of a Down session was not sent: the share of Down sessions in the send buffer of `size` bytes is used up. */
  heldBack(path: Path, size: number): void;
  readError(error: Error): void;
  /** A local address cannot be bound at present. */
  notBound(localIP: string, error: Error): void;
  /** The transport has failed for good. */
  died(error: Error): void;
  /** The user's transport could not be closed. */
  notClosed(error: Error): void;
}

export interface Transport {
  /** Prepares to receive packets of multihop sessions. @throws LivenessError `ERR_ENGINE_UNAVAILABLE` if the transport cannot */
  openMultihop(): void;
  /** Prepares to send and receive packets of a session. A failure shows as a write error of the packets that it sends. */
  open(session: SessionId, path: Path): void;
  /** Closes what was opened for a session alone, which has ended. */
  end(session: SessionId): void;
  /** Closes what was opened for local addresses that are no longer used. */
  retain(isUsed: (localIP: string) => boolean): void;
  send(transmit: Transmit): void;
  /** Makes the send buffers large enough for so many sessions. */
  fitSendBuffer(sessions: number): void;
  /** The size of the smallest send buffer in bytes; 0 if none is known. */
  readonly sendBufferBytes: number;
  localAddr(): AddressInfo | undefined;
  /** The number of datagrams dropped before they were read, if the transport counts them. */
  readonly dropped: number;
  close(): Promise<void>;
}
