/** The rule sets of sessions. Packets are the same under all rule sets, and sessions of different rule sets work together. */

/** One set of rules (`ARCHITECTURE.md`, "Two rule sets"). */
export interface Rules {
  readonly name: string;
  /**
   * Learn the peer's discriminator from every accepted packet with state Down, Init or Up (RFC 5880 §6.8.6), and forget it on a
   * received AdminDown. Otherwise: learn it only while none is known, and in Up also another one.
   */
  readonly learnsFromEveryPacket: boolean;
  /** Forget the peer's discriminator after one detection time of silence in Down. */
  readonly forgetsAfterSilence: boolean;
  /** In Down without a known peer discriminator, accept a packet with a foreign discriminator as a Down without one. */
  readonly acceptsForeignDiscriminatorWhenDown: boolean;
  /** Stay in Init on a received Down (RFC 5880 §6.2). Otherwise: go Down. */
  readonly staysInitOnDown: boolean;
  /** The shortest silence that ends Init, in microseconds. */
  readonly initDetectMinUs: number;
  /**
   * The least number of our transmits before silence ends Init. A peer with the reference's rules that knows our previous
   * discriminator answers only the second one, and may miss another one at first.
   */
  readonly initTransmitsMin: number;
  /** Accept a peer's interval above our ceiling, up to 60 s. Otherwise: clamp it to the ceiling. */
  readonly acceptsSlowerPeers: boolean;
}

/** The longest transmit interval of a peer if slower peers are accepted, in microseconds. */
export const MAX_PEER_INTERVAL_US = 60_000_000;

/** The rules of the reference. They can fail when hosts restart (`ARCHITECTURE.md`, "Two rule sets"). */
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

/** The rules of managers: those of the reference, corrected for restarts. */
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
