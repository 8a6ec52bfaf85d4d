/** The keys that a user gives for a session. No message shows a value: it may be a key, also one in the wrong place. */
import { isUint8Array } from 'node:util/types';

import type { ConfigIssue } from '../base/errors.js';
import { didYouMean } from '../base/nearest-name.js';
import type { AuthType, AuthVariant, SessionAuth, SessionKey } from '../protocol/bfd/options.js';

/** The authentication of a BFD session (RFC 5880 §6.7). */
export interface AuthOptions {
  /** `simple` is a password in clear text; the others are digests, those of the meticulous types with a number that grows in every packet. */
  type: AuthType;
  /** At least one. The first signs, and packets that any of them confirms are accepted: to roll a key over, add the new one last on both ends, then put it first, then remove the old one. */
  keys: readonly AuthKeyOptions[];
}

/** One key of a session. */
export interface AuthKeyOptions {
  /** 0 to 255; each key has its own. */
  id: number;
  /** Text, which is taken as UTF-8, or bytes. 1 to 16 bytes; 1 to 20 with `sha1` and `meticulous-sha1`. */
  key: string | Uint8Array;
  /** How the digest of a SHA-1 type is made: as RFC 5880 §6.7.4 says, or with HMAC, as FRR 10.7 and later do. Default: `rfc`. */
  variant?: AuthVariant | undefined;
}

/** The longest key of each type, in bytes (RFC 5880 §4.2 to §4.4). */
const LONGEST_KEY: Readonly<Record<AuthType, number>> = { simple: 16, md5: 16, 'meticulous-md5': 16, sha1: 20, 'meticulous-sha1': 20 };

const VARIANTS: readonly unknown[] = ['rfc', 'frr-hmac'] satisfies AuthVariant[];

/** A key whose secret neither `util.inspect` nor `JSON.stringify` shows. */
class ParsedKey implements SessionKey {
  readonly id: number;
  readonly variant: AuthVariant;
  readonly #secret: Uint8Array;

  constructor(id: number, secret: Uint8Array, variant: AuthVariant) {
    this.id = id;
    this.variant = variant;
    this.#secret = secret;
  }

  get secret(): Uint8Array {
    return this.#secret;
  }
}

class ParsedAuth implements SessionAuth {
  readonly type: AuthType;
  readonly keys: readonly SessionKey[];

  constructor(type: AuthType, keys: readonly SessionKey[]) {
    this.type = type;
    this.keys = keys;
  }
}

/** A copy of the keys, or the issues with them. What this function has returned is accepted as it is. */
export function parseAuth(given: unknown): { readonly auth: SessionAuth | undefined; readonly issues: readonly ConfigIssue[] } {
  if (given instanceof ParsedAuth) return { auth: given, issues: [] };
  const parser = new AuthParser();
  try {
    const auth = parser.auth(given);
    return { auth: parser.issues.length === 0 ? auth : undefined, issues: parser.issues };
  } catch {
    // A getter of the user has thrown; what it threw may contain the key.
    return { auth: undefined, issues: [{ path: 'auth', message: '`auth` cannot be read' }] };
  }
}

/** Whether two sessions have the same keys. */
export function isSameAuth(left: SessionAuth | undefined, right: SessionAuth | undefined): boolean {
  if (left === undefined || right === undefined || left === right) return left === right;
  if (left.type !== right.type || left.keys.length !== right.keys.length) return false;
  return left.keys.every((key, index) => isSameKey(key, right.keys[index] as SessionKey));
}

function isSameKey(left: SessionKey, right: SessionKey): boolean {
  return left.id === right.id && left.variant === right.variant && Buffer.compare(left.secret, right.secret) === 0;
}

class AuthParser {
  readonly issues: ConfigIssue[] = [];

  auth(given: unknown): SessionAuth | undefined {
    if (!this.#isObject('auth', given, ['type', 'keys'])) return undefined;
    const { type, keys } = given as { type?: unknown; keys?: unknown };
    const isKnown = typeof type === 'string' && Object.hasOwn(LONGEST_KEY, type);
    const types = Object.keys(LONGEST_KEY).map((name) => `'${name}'`);
    this.#require(isKnown, 'auth.type', `one of ${types.join(', ')}`, type);
    const isArray = Array.isArray(keys) && keys.length > 0;
    if (!this.#require(isArray, 'auth.keys', 'an array of at least one key', keys) || !isKnown) return undefined;
    const parsed = Array.from(keys as unknown[]).map((key, index) => this.#key(`auth.keys.${index}`, key, type as AuthType));
    this.#requireUniqueIds(parsed);
    return new ParsedAuth(type as AuthType, Object.freeze(parsed.filter((key) => key !== undefined)));
  }

  #key(path: string, given: unknown, type: AuthType): SessionKey | undefined {
    if (!this.#isObject(path, given, ['id', 'key', 'variant'])) return undefined;
    const { id, key, variant = 'rfc' } = given as { id?: unknown; key?: unknown; variant?: unknown };
    const isId = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= 255;
    this.#require(isId, `${path}.id`, 'an integer from 0 to 255', id);
    this.#require(VARIANTS.includes(variant), `${path}.variant`, "'rfc' or 'frr-hmac'", variant);
    const isSha1 = type === 'sha1' || type === 'meticulous-sha1';
    const isOfType = variant !== 'frr-hmac' || isSha1;
    this.#require(isOfType, `${path}.variant`, `'rfc' with the type '${type}', since 'frr-hmac' is a way to use SHA-1`, variant);
    const secret = this.#secret(`${path}.key`, key, LONGEST_KEY[type]);
    return isId && secret !== undefined ? new ParsedKey(id, secret, variant as AuthVariant) : undefined;
  }

  #secret(path: string, key: unknown, longest: number): Uint8Array | undefined {
    const what = `text or bytes (Uint8Array), 1 to ${longest} bytes`;
    if (!this.#require(typeof key === 'string' || isUint8Array(key), path, what, key)) return undefined;
    const bytes = typeof key === 'string' ? new TextEncoder().encode(key) : Uint8Array.from(key as Uint8Array);
    if (bytes.length >= 1 && bytes.length <= longest) return bytes;
    this.issues.push({ path, message: `Expected \`${path}\` to be ${what}, got ${bytes.length}` });
    return undefined;
  }

  #requireUniqueIds(keys: readonly (SessionKey | undefined)[]): void {
    const seen = new Set<number>();
    for (const [index, key] of keys.entries()) {
      if (key === undefined) continue;
      const path = `auth.keys.${index}.id`;
      if (seen.has(key.id)) this.issues.push({ path, message: `Expected \`${path}\` to be unique, got ${key.id} again` });
      seen.add(key.id);
    }
  }

  #isObject(path: string, given: unknown, names: readonly string[]): boolean {
    const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
    if (!this.#require(isObject, path, `an object; its options are ${names.join(', ')}`, given)) return false;
    for (const name in given as object) {
      if (names.includes(name)) continue;
      const message = `Unknown option \`${path}.${name}\`${didYouMean(name, names)}; expected an object; its options are ${names.join(', ')}`;
      this.issues.push({ path: `${path}.${name}`, message });
    }
    return true;
  }

  #require(holds: boolean, path: string, what: string, given: unknown): boolean {
    if (!holds) this.issues.push({ path, message: `Expected \`${path}\` to be ${what}, got ${kindOf(given)}` });
    return holds;
  }
}

/** The type of a value, without the value. */
function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
