/** The digest over a packet (RFC 5880 §6.7.3 and §6.7.4). */
import { createHash, createHmac } from 'node:crypto';

import type { Key } from './key.js';
import { SECTION } from './section.js';

/** The digest over a whole packet. What the packet has in its digest field does not count. */
export function digestOf(key: Key, packet: Uint8Array): Buffer {
  const covered = Buffer.alloc(packet.length);
  covered.set(packet.subarray(0, SECTION.digest));
  // As FRR does from 10.7 on: HMAC with zeros in the place of the digest.
  if (key.variant === 'frr-hmac') return createHmac('sha1', key.secret).update(covered).digest();
  // The key stands in the field of the digest, with zeros after it.
  covered.set(key.secret, SECTION.digest);
  return createHash(key.hash).update(covered).digest();
}
