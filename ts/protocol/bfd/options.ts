/** The options of a BFD session beyond its timers. */

/** An authentication type (RFC 5880 §4.1 `Auth Type`). */
export type AuthType = 'simple' | 'md5' | 'meticulous-md5' | 'sha1' | 'meticulous-sha1';

/** How a SHA-1 digest is made: as RFC 5880 §6.7.4 says, or as FRR 10.7 and later do, with HMAC over a zeroed field. */
export type AuthVariant = 'rfc' | 'frr-hmac';

/** One key of a session. */
export interface SessionKey {
  /** 0 to 255. */
  readonly id: number;
  /** 1 to 16 bytes; of SHA-1, 1 to 20. */
  readonly secret: Uint8Array;
  readonly variant: AuthVariant;
}

/** The keys of a session, at least one. The first signs; packets that any of them confirms are accepted. */
export interface SessionAuth {
  readonly type: AuthType;
  readonly keys: readonly SessionKey[];
}

/** The options of a BFD session beyond its timers. */
export interface BfdSessionOptions {
  /** The session sends nothing before the peer is heard (RFC 5880 §6.1). */
  readonly passive: boolean;
  readonly auth: SessionAuth | undefined;
}
