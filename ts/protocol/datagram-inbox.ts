/** A queue between the receiver of datagrams and the callers of `readFrom`. */
import { givenMicros, LONGEST_WAIT_MS, monotonicNow } from '../base/clock.js';
import { LivenessError } from '../base/errors.js';
import { closedTransport, type Datagram } from './udp-service.js';

/** The most unread datagrams. Further ones are dropped, as a full socket drops them. */
const MAX_UNREAD = 4_096;

interface Reader {
  readonly resolve: (datagram: Datagram) => void;
  readonly reject: (error: Error) => void;
}

/** The reading half of a UDPService: one datagram per read, with a deadline and an end. */
export class DatagramInbox {
  #unread: Datagram[] = [];
  /** How many of them are read. Shifting a long array for each datagram would cost more than reading it. */
  #taken = 0;
  readonly #readers: Reader[] = [];
  #deadline: NodeJS.Timeout | undefined;
  #isPast = false;
  #failure: Error | undefined;
  #isClosed = false;
  #dropped = 0;

  /** The number of datagrams dropped because the queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Passes a datagram to the first waiting read, or keeps it. */
  put(datagram: Datagram): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve(datagram);
    else if (this.#unread.length - this.#taken < MAX_UNREAD) this.#unread.push(datagram);
    else this.#dropped += 1;
  }

  /** Rejects the first waiting read, or the next one that finds no datagram. */
  fail(error: Error): void {
    const reader = this.#readers.shift();
    if (reader === undefined) this.#failure = error;
    else reader.reject(error);
  }

  read(): Promise<Datagram> {
    const first = this.#take();
    if (first !== undefined) return Promise.resolve(first);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#isClosed) return Promise.reject(closedTransport());
    if (this.#isPast) return Promise.reject(pastDeadline());
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  /** @throws LivenessError `ERR_CONFIG` if it is no time */
  setDeadline(deadline: number | undefined): void {
    if (deadline !== undefined) givenMicros('deadline', deadline);
    clearTimeout(this.#deadline);
    this.#isPast = false;
    if (deadline !== undefined) this.#await(deadline);
  }

  #await(deadline: number): void {
    const wait = Math.ceil(deadline - monotonicNow());
    if (wait > 0) {
      this.#deadline = setTimeout(() => this.#await(deadline), Math.min(wait, LONGEST_WAIT_MS)).unref();
      return;
    }
    this.#isPast = true;
    for (const { reject } of this.#readers.splice(0)) reject(pastDeadline());
  }

  /** Rejects all waiting reads, and later ones when no datagram is left. */
  end(): void {
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    for (const { reject } of this.#readers.splice(0)) reject(closedTransport());
  }

  #take(): Datagram | undefined {
    const datagram = this.#unread[this.#taken];
    if (datagram === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken === this.#unread.length) {
      this.#unread = [];
      this.#taken = 0;
    }
    return datagram;
  }
}

function pastDeadline(): Error {
  return new LivenessError('ETIMEDOUT', 'The read deadline has passed');
}
