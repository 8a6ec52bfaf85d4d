/** A transport without a network: it remembers what was written, and a test says what is read. */
import { type Datagram, type Destination, monotonicNow, type UDPService } from '../../ts/protocol.js';
import { DatagramInbox } from '../../ts/protocol/datagram-inbox.js';

export interface Written {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly to: Destination;
  readonly iface: string | undefined;
  readonly src: string | undefined;
}

export class FakeUDP implements UDPService {
  readonly written: Written[] = [];
  /** What happens to a write: throw here to make it fail. */
  onWrite: (written: Written) => void = () => undefined;
  readonly #inbox = new DatagramInbox();
  #errors: Error[] = [];
  reads = 0;

  deliver(data: Uint8Array, changes: Partial<Datagram> = {}): void {
    const remote = { address: '10.0.0.2', port: 44880 };
    this.#inbox.put({ data, remote, localIP: '10.0.0.1', iface: 'eth0', arrival: monotonicNow(), ...changes });
  }

  /** The reads to come fail with these, in this order; where a read waits, it fails now. */
  failReads(...errors: Error[]): void {
    this.#errors.push(...errors);
    const [first] = this.#errors;
    if (first === undefined || !this.isWaiting) return;
    this.#errors.shift();
    this.#inbox.fail(first);
  }

  isWaiting = false;

  async readFrom(): Promise<Datagram> {
    this.reads += 1;
    const failure = this.#errors.shift();
    if (failure !== undefined) throw failure;
    this.isWaiting = true;
    try {
      return await this.#inbox.read();
    } finally {
      this.isWaiting = false;
    }
  }

  writeTo(bytes: Uint8Array, to: Destination, iface?: string, src?: string): Promise<number> {
    const written = { at: monotonicNow(), bytes, to, iface, src };
    this.onWrite(written);
    this.written.push(written);
    return Promise.resolve(bytes.length);
  }

  setReadDeadline(deadline: number | undefined): void {
    this.#inbox.setDeadline(deadline);
  }

  localAddr() {
    return { address: '10.0.0.1', port: 44880, family: 'IPv4' };
  }

  close(): void {
    this.#inbox.end();
  }
}

/** A logger that remembers its lines. */
export function newLog() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const write =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields: fields as Record<string, unknown>, message });
    };
  const logger = {
    child: () => logger,
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
  return { logger, lines, of: (level: string) => lines.filter((line) => line.level === level) };
}

/** The series of a registry by name and labels. */
export async function scrape(registry: { metrics(): Promise<string> }): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}
