/**
 * How full the send buffer of a socket is. What waits in it for a neighbour that does not answer ARP takes room from live
 * sessions for seconds, and Node shows only what has not even found room in it: the kernel's list of sockets shows the rest.
 */
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/** What one datagram of a session takes of the buffer until it has left, rounded up; as on the native engine. */
const CHARGE = 1_024;

/** For each session there is room for so many datagrams. */
const DATAGRAMS_PER_SESSION = 8;
const LEAST = 4 << 20;
const MOST = 256 << 20;

/** The list is read no more often. */
const LOOK_INTERVAL_MS = 20;

/** How large the buffer has to be for so many sessions, in bytes. */
export function sendBufferFor(sessions: number): number {
  return Math.min(sessions * DATAGRAMS_PER_SESSION * CHARGE, MOST);
}

/** What is asked for: by doubling, so that sessions which are added one by one cost few calls. */
export function sendBufferToAskFor(sessions: number): number {
  return Math.max(2 ** Math.ceil(Math.log2(Math.max(sendBufferFor(sessions), 1))), LEAST);
}

/** Lets packets of sessions that are Down take half of one socket's buffer. */
export class SendBufferShare {
  readonly #list: () => string;
  /** What was taken when last looked, and has been sent since. */
  #used = 0;
  #lookedAt = -Infinity;

  /** @param list gives the kernel's list of UDP sockets, in the form of `/proc/net/udp` */
  constructor(list: () => string = readList) {
    this.#list = list;
  }

  /** Whether there is room for one more, which counts as sent then. `now` is in milliseconds. */
  take(now: number, size: number, address: string, port: number): boolean {
    // The list is long on some hosts: it is looked at only where what was sent since could have taken half of the share.
    if (this.#used >= size / 4 && now - this.#lookedAt >= LOOK_INTERVAL_MS) {
      this.#lookedAt = now;
      this.#used = usedBy(this.#list(), address, port);
    }
    if (this.#used + CHARGE > size / 2) return false;
    this.#used += CHARGE;
    return true;
  }
}

/** Bytes in the send buffer of the socket that is bound to an address; 0 where the list does not have it. */
export function usedBy(list: string, address: string, port: number): number {
  const octets = address.split('.').map((octet) => hex(Number(octet), 2));
  // The address as the kernel's processor has it in a register, the port as people write it: proc(5).
  const local = `${(endianness() === 'LE' ? octets.reverse() : octets).join('')}:${hex(port, 4)}`;
  const line = list.split('\n').find((it) => it.trimStart().split(/\s+/, 2)[1] === local);
  const queues = line?.trimStart().split(/\s+/, 5)[4];
  return queues === undefined ? 0 : Number.parseInt(queues, 16);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

/** Empty where the system has none: then nothing is known, and nothing held back. */
function readList(): string {
  try {
    return readFileSync('/proc/self/net/udp', 'utf8');
  } catch {
    return '';
  }
}
