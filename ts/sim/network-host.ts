/** A host of a simulated network: its address, its time, and what its engine sends and receives with. */
import type { AddressInfo } from 'node:net';

import { familyOf } from '../base/address.js';
import { LivenessError } from '../base/errors.js';
import type { Environment, Timer } from '../base/environment.js';
import type { Host } from '../base/host-interfaces.js';
import { isInterfaceName } from '../base/route.js';
import { toMicros } from '../base/clock.js';
import type { EngineOptions } from '../engine/engine.js';
import type { Transmit } from '../engine/js/engine-core.js';
import type { Transport, TransportListener } from '../engine/js/transport.js';
import type { Xorshift32 } from '../protocol/jitter.js';
import { fraction } from './link.js';
import type { SimulatedClock } from './simulated-clock.js';

/** The interface of packets whose addresses belong to no session. */
const SOME_INTERFACE = 'sim0';

export class NetworkHost implements Environment, Host {
  readonly #clock: SimulatedClock;
  readonly #random: Xorshift32;
  readonly #wallOffset: number;
  #stalledUntil = 0;

  /**
   * @param address its only address
   * @param wallOffset how far the wall clock is ahead of the simulated clock, in milliseconds
   */
  constructor(
    readonly address: string,
    clock: SimulatedClock,
    random: Xorshift32,
    wallOffset: number,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#wallOffset = wallOffset;
  }

  /** Runs nothing of this host for so many milliseconds: timers and packets wait. */
  stall(duration: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#clock.now + duration);
  }

  now(): number {
    return this.#clock.now;
  }

  wallOffset(): number {
    return this.#wallOffset;
  }

  after(milliseconds: number, call: () => void): Timer {
    let timer = this.#clock.at(this.#clock.now + milliseconds, () => {
      if (this.#stalledUntil <= this.#clock.now) call();
      else timer = this.after(this.#stalledUntil - this.#clock.now, call);
    });
    return { cancel: () => timer.cancel() };
  }

  soon(call: () => void): void {
    this.after(0, call);
  }

  randomWord(): number {
    return this.#random.next();
  }

  random(): number {
    return fraction(this.#random);
  }

  interfaceOf(): string {
    return SOME_INTERFACE;
  }

  hasInterface(name: string): boolean {
    return isInterfaceName(name);
  }

  isLocalAddress(address: string): boolean {
    return address === this.address;
  }
}

/** Where a transport sends to. */
export interface Wire {
  /** @throws LivenessError `EADDRINUSE` */
  bind(transport: SimulatedTransport, port: number): number;
  unbind(transport: SimulatedTransport, port: number): void;
  send(from: SimulatedTransport, peerIP: string, peerPort: number, bytes: Uint8Array): void;
}

export class SimulatedTransport implements Transport {
  readonly sendBufferBytes = 0;
  readonly dropped = 0;
  readonly #wire: Wire;
  readonly #listener: TransportListener;
  readonly #wantedMultihopPort: number;
  #port: number | undefined;
  #multihopPort: number | undefined;

  constructor(
    readonly host: NetworkHost,
    wire: Wire,
    { port, multihopPort }: Pick<EngineOptions, 'port' | 'multihopPort'>,
    listener: TransportListener,
  ) {
    this.#wire = wire;
    this.#listener = listener;
    this.#wantedMultihopPort = multihopPort;
    this.#port = wire.bind(this, port);
  }

  openMultihop(): void {
    this.#multihopPort ??= this.#wire.bind(this, this.#wantedMultihopPort);
  }

  open(): void {
    // The host has one address.
  }

  end(): void {
    // All sessions send from one port.
  }

  retain(): void {
    // The host has one address.
  }

  fitSendBuffer(): void {
    // A simulated buffer is never full.
  }

  send({ path, peerPort, bytes }: Transmit): void {
    if (this.#port === undefined) throw new LivenessError('ERR_CLOSED', 'The simulated transport is closed');
    this.#wire.send(this, path.peerIP, peerPort, bytes);
    this.#listener.sent(path);
  }

  /** Takes a datagram to one of its ports from the wire: read now, or when the host runs again. */
  receive(bytes: Uint8Array, from: string, port: number): void {
    const arrival = toMicros(this.host.now());
    this.host.after(0, () => {
      if (this.#port === undefined) return;
      const iface = port === this.#multihopPort ? '' : undefined;
      this.#listener.datagram(toMicros(this.host.now()), arrival, bytes, from, this.host.address, iface);
    });
  }

  localAddr(): AddressInfo | undefined {
    return this.#port === undefined ? undefined : { address: this.host.address, family: familyOf(this.host.address), port: this.#port };
  }

  close(): Promise<void> {
    for (const port of [this.#port, this.#multihopPort]) if (port !== undefined) this.#wire.unbind(this, port);
    this.#port = undefined;
    this.#multihopPort = undefined;
    return Promise.resolve();
  }
}
