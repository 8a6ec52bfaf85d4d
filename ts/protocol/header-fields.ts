/** Where the fields stand that the packets of both protocols share: the first 20 bytes are RFC 5880's (§4.1). */

/** The offset of each field in bytes. */
export const HEADER_FIELD = Object.freeze({
  /** 3 bits of version, 5 of diagnostic. */
  version: 0,
  /** 2 bits of state, 6 of flags. */
  state: 1,
  detectMult: 2,
  length: 3,
  localDiscr: 4,
  peerDiscr: 8,
  desiredMinTx: 12,
  requiredMinRx: 16,
});

/** How far the version is above the diagnostic, in bits. */
export const VERSION_SHIFT = 5;

/** How far the state is above the flags, in bits. */
export const STATE_SHIFT = 6;
