/** The warnings of the JavaScript engine. A warning of one kind comes at most once in five seconds. */
import { codeOf, messageOf } from '../../base/errors.js';
import { Throttle } from '../../base/throttle.js';
import type { EndpointStats, EngineListener } from '../engine.js';
import { DropReporter } from './drop-reporter.js';
import type { Path } from './engine-core.js';
import { sendBufferFor } from './send-buffer.js';

export class EngineWarnings {
  readonly #listener: Pick<EngineListener, 'warning'>;
  readonly #throttle = new Throttle();
  readonly #dropReporter = new DropReporter();
  #hasWarnedOfSendBuffer = false;

  constructor(listener: Pick<EngineListener, 'warning'>) {
    this.#listener = listener;
  }

  writeError({ peerIP }: Path, error: Error): void {
    this.#throttle.log('write', (skipped) => {
      const others = skipped === 0 ? '' : `; nor could ${skipped} other packets be sent`;
      this.#listener.warning(codeOf(error) ?? 'ERR_SOCKET', `cannot send to ${peerIP}: ${error.message}${others}`);
    });
  }

  /** @param size of the send buffer, in bytes */
  heldBack(size: number): void {
    this.#throttle.log('heldBack', (skipped) =>
      this.#listener.warning(
        'ERR_SEND_BUFFER_FULL',
        `${skipped + 1} packets of sessions that are Down were not sent, to leave the other half of the send buffer (${size} bytes) to sessions that are Up: ` +
          'packets wait for the link addresses of neighbours that do not answer, or for a device that does not send',
      ),
    );
  }

  readError(error: Error): void {
    this.#warn('read', error, 'cannot read');
  }

  /** Packets from this address are failed writes until it can be bound. */
  notBound(localIP: string, error: Error): void {
    this.#warn(localIP, error, `cannot use ${localIP}`);
  }

  notClosed(error: Error): void {
    this.#listener.warning('ERR_UDP', `the transport (\`udp\`) could not be closed: ${messageOf(error)}`);
  }

  /** Reports the received packets that were dropped since the last report. */
  drops(stats: () => readonly EndpointStats[], nowUs: number): void {
    for (const { reason, count } of this.#dropReporter.report(stats, nowUs)) {
      this.#listener.warning('ERR_PACKETS_DROPPED', `${count} received packets were dropped: ${reason}`);
    }
  }

  /** Warns once if the system grants a smaller send buffer than the sessions need. */
  sendBuffer(granted: number, sessions: number): void {
    if (this.#hasWarnedOfSendBuffer) return;
    const needed = sendBufferFor(sessions);
    if (granted === 0 || granted >= needed) return;
    this.#hasWarnedOfSendBuffer = true;
    this.#listener.warning(
      'ERR_SEND_BUFFER_SMALL',
      `the system grants a send buffer of ${granted} bytes, and ${sessions} sessions need ${needed}: it takes a net.core.wmem_max of ${needed / 2}`,
    );
  }

  #warn(kind: string, error: Error, what: string): void {
    this.#throttle.log(kind, () => this.#listener.warning(codeOf(error) ?? 'ERR_UDP', `${what}: ${messageOf(error)}`));
  }
}
