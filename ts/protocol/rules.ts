/** The rules that a session goes by, as values. The wire is the same under all of them, and each talks to any peer. */

/** One set of rules (`ARCHITECTURE.md`, "Two rule sets"). */
export interface Rules {
  readonly name: string;
  /**
   * Learn the peer's discriminator from every accepted packet with state Down, Init or Up (RFC 5880 §6.8.6), and unlearn it
   * on a received AdminDown; else only while none is known, and in Up where it differs.
   */
  readonly learnsFromEveryPacket: boolean;
  /** Forget the peer's discriminator when, after a detection timeout, a further detection time passes in silence. */
  readonly forgetsAfterSilence: boolean;
  /** In Down, knowing no peer, hear a packet that names a discriminator which is not ours as a Down that names none. */
  readonly acceptsForeignDiscriminatorWhenDown: boolean;
  /** A Down that arrives in Init leaves us in Init (RFC 5880 §6.2); else it takes us Down. */
  readonly staysInitOnDown: boolean;
  /** The least time that Init lasts in silence, in microseconds. */
  readonly initDetectMinUs: number;
  /**
   * So many transmits of ours Init lasts in silence, at least: a reference peer that remembers our former life needs two of
   * them to answer, and it may take one more to begin.
   */
  readonly initTransmitsMin: number;
  /** Take a peer's interval beyond our own ceiling as it is, up to 60 s; else it is clamped. */
  readonly acceptsSlowerPeers: boolean;
}

/** The longest transmit interval that a peer may announce where slower peers are accepted, in microseconds. */
export const MAX_PEER_INTERVAL_US = 60_000_000;

/** The reference's own rules. They have holes that only show between hosts that restart. */
export const REFERENCE: Rules = Object.freeze({
  name: 'reference',
  learnsFromEveryPacket: false,
  forgetsAfterSilence: false,
  acceptsForeignDiscriminatorWhenDown: false,
  staysInitOnDown: false,
  initDetectMinUs: 0,
  initTransmitsMin: 0,
  acceptsSlowerPeers: false,
});

/** The rules of the managers: the reference's with its holes closed. */
export const ROBUST: Rules = Object.freeze({
  name: 'robust',
  learnsFromEveryPacket: true,
  forgetsAfterSilence: true,
  acceptsForeignDiscriminatorWhenDown: true,
  staysInitOnDown: true,
  initDetectMinUs: 3_300_000,
  initTransmitsMin: 3,
  acceptsSlowerPeers: true,
});
