/** The UDP ports of BFD. */

/** Of single-hop sessions (RFC 5881 §4). */
export const DEFAULT_BFD_PORT = 3784;

/** Of multihop sessions (RFC 5883 §5). */
export const DEFAULT_BFD_MULTIHOP_PORT = 4784;
