/** The loop that reads a transport and passes packets to a handler. */
import { addAbortListener } from 'node:events';

import * as v from 'valibot';

import { monotonicNow } from '../base/clock.js';
import { codeOf, messageOf, toError } from '../base/errors.js';
import { field, functionField, hasMethods, object, optionsOf, SIGNAL_SCHEMA } from '../base/fields.js';
import { callGuarded, promised, readGuarded } from '../base/guard.js';
import { componentLogger, type Logger, loggerField } from '../base/logger.js';
import { LABEL_IFACE, LABEL_LOCAL_IP, LABEL_OPERATION, LABEL_REASON, type Metrics, metricsField } from '../metrics/metrics.js';
import { MetricsSink } from '../metrics/metrics-sink.js';
import type { Peer } from '../base/route.js';
import { ControlPacket, type InvalidReason, receivable } from './packet.js';
import { Throttle } from '../base/throttle.js';
import { checkDatagram, type Datagram, isGone, type UDPService } from './udp-service.js';

/**
 * Handles a well-formed packet from a peer, with its arrival in milliseconds of CLOCK_MONOTONIC (reference name: `HandleRxFunc`).
 */
export type HandleRx = (packet: ControlPacket, peer: Peer, arrival: number) => void;

export interface ReceiverOptions {
  /** The transport to read. */
  udp: UDPService;
  handleRx: HandleRx;
  /** Default: nothing is logged. A repeated failure is logged once in five seconds. */
  logger?: Logger | undefined;
  metrics?: Metrics | undefined;
}

/** Counters of a receiver. */
export interface ReceiverStats {
  readonly received: number;
  readonly invalid: number;
  readonly readErrors: number;
  /** How often the handler failed. */
  readonly handlerErrors: number;
}

/** The pause after a failed read, in milliseconds, since a transport may fail at once, again and again. */
const PAUSE_AFTER_ERROR = 10;

const SCHEMA = object({
  udp: field<UDPService>('a UDPService', (value) => hasMethods(value, ['readFrom', 'setReadDeadline'])),
  handleRx: functionField<HandleRx>(),
  logger: v.optional(loggerField),
  metrics: v.optional(metricsField),
});

/** Reads a transport and passes packets to a handler (reference name: `Receiver`). */
export class Receiver {
  readonly #udp: UDPService;
  readonly #handleRx: (...given: Parameters<HandleRx>) => unknown;
  readonly #log: Logger;
  readonly #metrics: MetricsSink;
  readonly #throttle = new Throttle();
  readonly #stats = { received: 0, invalid: 0, readErrors: 0, handlerErrors: 0 };

  /** @throws LivenessError `ERR_CONFIG` */
  constructor(options: ReceiverOptions) {
    const { udp, handleRx, logger, metrics } = optionsOf(SCHEMA, options);
    this.#udp = udp;
    this.#handleRx = handleRx;
    this.#log = componentLogger(logger, 'liveness.receiver');
    this.#metrics = new MetricsSink(metrics, (thrown) => this.#metricsFailed(thrown));
  }

  /**
   * Reads until the signal aborts, then resolves (reference name: `Receiver.Run`). Failed reads are counted and logged. Rejects if
   * the transport is closed or broken for good.
   */
  async run(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { signal } = optionsOf(SIGNAL_SCHEMA, options);
    const aborted = (): boolean => signal?.aborted === true;
    // A deadline ends the present read.
    const abortListener = signal && addAbortListener(signal, () => this.#setReadDeadline(monotonicNow()));
    try {
      while (!aborted()) {
        const datagram = await this.#read(aborted);
        if (datagram !== undefined) this.#handle(datagram);
      }
    } finally {
      abortListener?.[Symbol.dispose]();
      if (aborted()) this.#setReadDeadline(undefined);
    }
  }

  stats(): ReceiverStats {
    return { ...this.#stats };
  }

  async #read(aborted: () => boolean): Promise<Datagram | undefined> {
    try {
      return checkDatagram(await promised(() => this.#udp.readFrom()));
    } catch (thrown) {
      const code = codeOf(thrown);
      if (aborted()) return undefined;
      if (code === 'ETIMEDOUT') {
        await this.#passDeadline();
        return undefined;
      }
      if (isGone(thrown)) throw toError(thrown);
      this.#stats.readErrors += 1;
      const address = readGuarded(() => this.#udp.localAddr()?.address, undefined) ?? '';
      this.#metrics.add('readSocketErrors', { [LABEL_IFACE]: '', [LABEL_LOCAL_IP]: address, [LABEL_OPERATION]: 'read_from' });
      this.#throttle.log('read', (skipped) => this.#log.warn({ err: thrown, skipped }, `cannot read: ${messageOf(thrown)}`));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_ERROR));
      return undefined;
    }
  }

  /** Removes a deadline of the user that has passed. Yields, since a transport may time out at once, again and again. */
  async #passDeadline(): Promise<void> {
    this.#setReadDeadline(undefined);
    await new Promise((resolve) => setImmediate(resolve));
  }

  #handle({ data, remote, localIP, iface, arrival }: Datagram): void {
    const packet = receivable(data);
    if (!(packet instanceof ControlPacket)) {
      this.#refuse(packet, iface, localIP);
      return;
    }
    this.#stats.received += 1;
    const labels = { [LABEL_IFACE]: iface, [LABEL_LOCAL_IP]: localIP };
    this.#metrics.add('controlPacketsRX', labels);
    const began = monotonicNow();
    callGuarded(
      () => this.#handleRx(packet, { iface, localIP, peerIP: remote.address }, arrival),
      (thrown) => this.#handlerFailed(thrown),
    );
    this.#metrics.observe('handleRxDuration', labels, (monotonicNow() - began) / 1_000);
  }

  #handlerFailed(thrown: unknown): void {
    this.#stats.handlerErrors += 1;
    this.#throttle.log('handler', (skipped) => this.#log.error({ err: thrown, skipped }, `the handler threw: ${messageOf(thrown)}`));
  }

  #metricsFailed(thrown: unknown): void {
    this.#throttle.log('metrics', (skipped) => this.#log.warn({ err: thrown, skipped }, `a metric failed: ${messageOf(thrown)}`));
  }

  /** A transport that refuses deadlines ends its read with the next datagram. */
  #setReadDeadline(deadline: number | undefined): void {
    callGuarded(
      () => this.#udp.setReadDeadline(deadline),
      (thrown) => {
        this.#throttle.log('deadline', (skipped) =>
          this.#log.warn({ err: thrown, skipped }, `the transport took no read deadline: ${messageOf(thrown)}`),
        );
      },
    );
  }

  #refuse(reason: InvalidReason, iface: string, localIP: string): void {
    this.#stats.invalid += 1;
    this.#metrics.add('controlPacketsRxInvalid', { [LABEL_IFACE]: iface, [LABEL_LOCAL_IP]: localIP, [LABEL_REASON]: reason });
    this.#throttle.log(reason, (skipped) => this.#log.debug({ iface, localIP, reason, skipped }, `dropped a packet: ${reason}`));
  }
}
