/** Datagrams between the one who receives them and those who wait for them. */
import { givenMicros, LONGEST_WAIT_MS, monotonicNow } from '../base/clock.js';
import { LivenessError } from '../base/errors.js';
import { closedTransport, type Datagram } from './udp-service.js';

/** Datagrams that nobody has read yet are kept up to this many; what comes then is dropped, as a socket would. */
const MOST_UNREAD = 4_096;

interface Reader {
  readonly resolve: (datagram: Datagram) => void;
  readonly reject: (error: Error) => void;
}

/** The reading half of a UDPService: one datagram per read, a deadline, and an end. */
export class DatagramInbox {
  #unread: Datagram[] = [];
  /** How many of them are read already: shifting a long array for each would cost more than reading it. */
  #taken = 0;
  readonly #readers: Reader[] = [];
  #deadline: NodeJS.Timeout | undefined;
  #isPast = false;
  #failure: Error | undefined;
  #isClosed = false;
  #dropped = 0;

  /** How many datagrams were dropped since nobody had read those before. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Gives a datagram to the first who waits, or keeps it. */
  put(datagram: Datagram): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve(datagram);
    else if (this.#unread.length - this.#taken < MOST_UNREAD) this.#unread.push(datagram);
    else this.#dropped += 1;
  }

  /** The read that waits fails with this, else the next that finds nothing to read. */
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

  /** @throws LivenessError `ERR_CONFIG` where it is no time */
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

  /** Whoever waits, and whoever comes when all is read, hears that it is over. */
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
