/** Where the fields of an authentication section stand in a packet (RFC 5880 §4.2 to §4.4), in bytes. */
export const SECTION = Object.freeze({
  type: 24,
  length: 25,
  keyId: 26,
  /** A simple password. */
  password: 27,
  /** In sections with a digest; a reserved byte is before it. */
  sequence: 28,
  digest: 32,
});
