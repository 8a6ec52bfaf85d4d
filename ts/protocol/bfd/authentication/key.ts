/** One key of a session. */
import type { AuthType, AuthVariant, SessionAuth, SessionKey } from '../options.js';

/** Length of an MD5 digest in bytes; also the longest password, and the longest key of MD5 (RFC 5880 §4.2, §4.3). */
const MD5_LENGTH = 16;

/** Length of a SHA-1 digest in bytes; also the longest key of SHA-1 (RFC 5880 §4.4). */
const SHA1_LENGTH = 20;

/** Type, length and key id. */
const PASSWORD_HEADER = 3;

/** With a digest also a reserved byte and the sequence number. */
const DIGEST_HEADER = 8;

/** The numbers on the wire (RFC 5880 §4.1 `Auth Type`). */
const NUMBERS: Readonly<Record<AuthType, number>> = { simple: 1, md5: 2, 'meticulous-md5': 3, sha1: 4, 'meticulous-sha1': 5 };

/** Every packet has another sequence number. */
const METICULOUS: ReadonlySet<AuthType> = new Set<AuthType>(['meticulous-md5', 'meticulous-sha1']);

/** The secret is in a private field, so that no inspection and no JSON shows it. */
export class Key {
  readonly id: number;
  readonly type: AuthType;
  readonly variant: AuthVariant;
  readonly #secret: Buffer;

  /** @param given valid: the manager has checked the length of the secret, and that only SHA-1 has a variant */
  constructor(type: AuthType, { id, secret, variant }: SessionKey) {
    this.id = id;
    this.type = type;
    this.variant = variant;
    this.#secret = Buffer.from(secret);
  }

  get secret(): Buffer {
    return this.#secret;
  }

  /** The type's number on the wire. */
  get number(): number {
    return NUMBERS[this.type];
  }

  get isMeticulous(): boolean {
    return METICULOUS.has(this.type);
  }

  get hash(): 'md5' | 'sha1' {
    return this.type === 'md5' || this.type === 'meticulous-md5' ? 'md5' : 'sha1';
  }

  /** The length of its authentication section in bytes. */
  get sectionLength(): number {
    if (this.type === 'simple') return PASSWORD_HEADER + this.#secret.length;
    return DIGEST_HEADER + (this.hash === 'md5' ? MD5_LENGTH : SHA1_LENGTH);
  }
}

/** The keys of a session, in their order. */
export function keysOf({ type, keys }: SessionAuth): Key[] {
  return keys.map((key) => new Key(type, key));
}
