/**
 * The use of a socket's send buffer. Packets to neighbours that do not answer ARP stay in it for seconds and take room from live
 * sessions. Node shows only the packets that found no room; the kernel's list of sockets shows the bytes in the buffer.
 */
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { endianness } from 'node:os';

import { addressWords } from '../../base/address.js';
import { splitZone } from './zones.js';

/** The bytes of the buffer that one datagram takes until it has left, rounded up; as in the native engine. */
const CHARGE = 1_024;

/** The buffer has room for this many datagrams of each session. */
const DATAGRAMS_PER_SESSION = 8;
const MIN_BYTES = 4 << 20;
const MAX_BYTES = 256 << 20;

/** The shortest time between two readings of the list. */
const READ_INTERVAL_MS = 20;

/** The size that the buffer needs for so many sessions, in bytes. */
export function sendBufferFor(sessions: number): number {
  return Math.min(sessions * DATAGRAMS_PER_SESSION * CHARGE, MAX_BYTES);
}

/** The size to ask for: it doubles, so that adding sessions one by one takes few system calls. */
export function sendBufferToAskFor(sessions: number): number {
  return Math.max(2 ** Math.ceil(Math.log2(Math.max(sendBufferFor(sessions), 1))), MIN_BYTES);
}

/** Limits the packets of Down sessions to half of one socket's buffer. */
export class SendBufferShare {
  readonly #list: (isV6: boolean) => string;
  /** The bytes in the buffer at the last reading, and those sent since. */
  #used = 0;
  #lastReading = -Infinity;

  /** @param list returns the kernel's list of UDP sockets of one family, in the form of `/proc/net/udp` */
  constructor(list: (isV6: boolean) => string = readList) {
    this.#list = list;
  }

  /** Whether there is room for one more packet. If so, it counts as sent. `now` is in milliseconds. */
  take(now: number, size: number, address: string, port: number): boolean {
    // The list is long on some hosts: it is read only when the packets sent since could fill half of the share.
    if (this.#used >= size / 4 && now - this.#lastReading >= READ_INTERVAL_MS) {
      this.#lastReading = now;
      this.#used = usedBy(this.#list(isIPv6(address)), address, port);
    }
    if (this.#used + CHARGE > size / 2) return false;
    this.#used += CHARGE;
    return true;
  }
}

/** The bytes in the send buffer of the socket bound to an address; 0 if the list does not have the socket. */
export function usedBy(list: string, address: string, port: number): number {
  // Each word of the address is in the host's byte order, the port is not: proc(5).
  const local = `${wordsOf(address).join('')}:${hex(port, 4)}`;
  const line = list.split('\n').find((entry) => entry.trimStart().split(/\s+/, 2)[1] === local);
  const queues = line?.trimStart().split(/\s+/, 5)[4];
  return queues === undefined ? 0 : Number.parseInt(queues, 16);
}

/** The words of an address, each in the host's byte order. */
function wordsOf(address: string): string[] {
  const { address: plain } = splitZone(address);
  const words = isIPv6(plain) ? addressWords(plain).map((word) => hex(word, 8)) : [ipv4Word(plain)];
  return endianness() === 'LE' ? words.map((word) => word.replace(/(..)(..)(..)(..)/, '$4$3$2$1')) : words;
}

function ipv4Word(address: string): string {
  return address
    .split('.')
    .map((octet) => hex(Number(octet), 2))
    .join('');
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

/** Empty on a system without the list: then no packet is held back. */
function readList(isV6: boolean): string {
  try {
    return readFileSync(isV6 ? '/proc/self/net/udp6' : '/proc/self/net/udp', 'utf8');
  } catch {
    return '';
  }
}
