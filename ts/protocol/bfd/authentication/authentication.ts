/** The authentication of a session (RFC 5880 §6.7): its keys, what it signs, and what it accepts. */
import { timingSafeEqual } from 'node:crypto';

import { byteAt, putWord, wordAt } from '../../bytes.js';
import type { SessionAuth } from '../options.js';
import { BFD_PACKET_LENGTH, type BfdPacket } from '../packet.js';
import { digestOf } from './digest.js';
import { type Key, keysOf } from './key.js';
import { SECTION } from './section.js';
import { ReceivedSequence, SentSequence } from './sequence.js';

/** The authentication of a session that has a key. */
export class Authentication {
  /** Never empty. The first signs. */
  #keys: readonly Key[];
  readonly #sent: SentSequence;
  readonly #received = new ReceivedSequence();

  /** @param first the first sequence number, which is random */
  constructor(auth: SessionAuth, first: number) {
    this.#keys = keysOf(auth);
    this.#sent = new SentSequence(first);
  }

  /** Takes other keys. The sequence numbers go on. */
  setKeys(auth: SessionAuth): void {
    this.#keys = keysOf(auth);
  }

  /** The id of the key that signs. */
  get keyId(): number | undefined {
    return this.#keys[0]?.id;
  }

  /** The packet on the wire, with the section of the first key. */
  sign(packet: BfdPacket, now: number): Uint8Array {
    const [key] = this.#keys;
    if (key === undefined) return packet.marshal();
    const section = new Uint8Array(key.sectionLength);
    section.set([key.number, key.sectionLength, key.id]);
    if (key.type === 'simple') section.set(key.secret, SECTION.password - BFD_PACKET_LENGTH);
    const bytes = packet.with({ authentication: section }).marshal();
    if (key.type === 'simple') return bytes;
    putWord(bytes, SECTION.sequence, this.#sent.next(key.isMeticulous, now));
    bytes.set(digestOf(key, bytes), SECTION.digest);
    return bytes;
  }

  /** Whether a key confirms the section of a packet, and its sequence number is one of the next. */
  verify(packet: BfdPacket, arrival: number, detectTimeUs: number): boolean {
    const bytes = packet.marshal();
    const key = this.#keys.find(({ id, number }) => bytes[SECTION.keyId] === id && bytes[SECTION.type] === number);
    if (key === undefined) return false;
    if (byteAt(bytes, SECTION.length) !== key.sectionLength || bytes.length !== BFD_PACKET_LENGTH + key.sectionLength) return false;
    if (key.type === 'simple') return timingSafeEqual(bytes.subarray(SECTION.password), key.secret);
    const number = wordAt(bytes, SECTION.sequence);
    this.#received.forgetIfSilent(arrival, detectTimeUs);
    // RFC 5880 §6.7.3: three times the detection multiplier.
    if (!this.#received.mayBeNext(number, 3 * packet.detectMult, key.isMeticulous)) return false;
    const confirms = timingSafeEqual(bytes.subarray(SECTION.digest), digestOf(key, bytes));
    if (confirms) this.#received.note(number, arrival);
    return confirms;
  }
}
