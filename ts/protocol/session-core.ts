/**
 * One session: state, intervals and deadlines, in whole microseconds. No I/O and no clock. The native engine's `session.rs`
 * does the same line by line; the scenarios in `test/conformance` hold both to it.
 */
import { NO_VERSION, type VersionBytes } from './client-version.js';
import type { Random } from './jitter.js';
import { ControlPacket, PROTOCOL_VERSION } from './packet.js';
import type { DetectMultipliers, Protocol } from './protocol.js';
import { MAX_PEER_INTERVAL_US, type Rules } from './rules.js';
import type { IgnoreReason } from './state-table.js';
import type { DownReason, State } from './state.js';

/** Beyond any ceiling, and small enough for exact arithmetic. */
const MAX_BACKOFF_FACTOR = 2 ** 20;

/** The settings that all sessions of an engine share. */
export interface Policy {
  readonly protocol: Protocol;
  readonly rules: Rules;
  readonly minTxFloorUs: number;
  readonly maxTxCeilUs: number;
  readonly backoffMaxUs: number;
  /** In Up, accept only packets that carry our discriminator. */
  readonly requireDiscriminator: boolean;
  /** The contents of bytes 20 to 24 of sent packets; `undefined` sends zeros, as the reference does. */
  readonly identity: { readonly passive: boolean; readonly version: VersionBytes } | undefined;
}

/** The timers that the local side wants for one session. */
export interface SessionTimers {
  readonly txMinUs: number;
  readonly rxMinUs: number;
  readonly detectMult: number;
}

/** The peer's fields of the last accepted packet; zeros before the first. */
export interface PeerView {
  discr: number;
  txMinUs: number;
  rxMinUs: number;
  detectMult: number;
  passive: boolean;
  version: VersionBytes;
}

/** The outcome of a received packet. */
export type RxOutcome =
  | { readonly kind: 'ignored'; readonly why: IgnoreReason }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'changed'; readonly from: State };

/** When things happened to the session, in microseconds; `undefined` until they did. */
export interface Timestamps {
  convUpStart: number | undefined;
  convDownStart: number | undefined;
  upSince: number | undefined;
  downSince: number | undefined;
  lastUpdated: number | undefined;
}

/**
 * The timers before a change. Until the peer must know the new timers, the faster transmit interval and the slower receive
 * interval of both sets count (RFC 5880 §6.8.3).
 */
interface PreviousTimers {
  readonly txMinUs: number;
  readonly rxMinUs: number;
  readonly until: number;
}

const ACCEPTED: RxOutcome = { kind: 'accepted' };

export class SessionCore {
  readonly localDiscr: number;
  readonly policy: Policy;
  readonly peer: PeerView = { discr: 0, txMinUs: 0, rxMinUs: 0, detectMult: 0, passive: false, version: NO_VERSION };
  readonly timestamps: Timestamps;
  /** The timers set last, by `setTimers`. */
  timers: SessionTimers;
  state: State = 'down';
  lastDownReason: DownReason = 'none';
  lastRx: number | undefined;
  /** When silence takes the session Down; `undefined` outside of Init and Up. */
  detectDeadline: number | undefined;
  /** When the next packet is due; `undefined` if none is. */
  nextTx: number | undefined;
  #previousTimers: PreviousTimers | undefined;
  #backoffFactor = 1;
  #forgetAt: number | undefined;
  #announceAdminDownUntil: number | undefined;
  #lastTx: number | undefined;
  #firstInitTx: number | undefined;
  #roundTripUs: number | undefined;

  /** A session in Down whose first packet is due at `firstTx`. */
  constructor(policy: Policy, timers: SessionTimers, localDiscr: number, now: number, firstTx: number) {
    this.policy = policy;
    this.timers = timers;
    this.localDiscr = localDiscr;
    this.nextTx = firstTx;
    this.timestamps = { convUpStart: undefined, convDownStart: undefined, upSince: undefined, downSince: now, lastUpdated: now };
  }

  /** RFC 5880 §6.8.7: the slower of our transmit interval and the peer's receive interval. */
  get txIntervalUs(): number {
    const desired = this.#desiredTxUs;
    return this.#withinBounds(Math.max(desired, this.peer.rxMinUs));
  }

  /** The interval of the peer's packets: the slower of its transmit interval and our receive interval. */
  get rxIntervalUs(): number {
    const { rules, minTxFloorUs, maxTxCeilUs } = this.policy;
    const desired = this.#desiredRxUs;
    const agreed = Math.max(this.peer.txMinUs, desired, minTxFloorUs);
    return rules.acceptsSlowerPeers ? agreed : Math.min(agreed, maxTxCeilUs);
  }

  /** A silence of this length means Down. */
  get detectTimeUs(): number {
    return this.policy.protocol.detectTimeUs(this.#multipliers, this.rxIntervalUs);
  }

  /** The least round trip of the last handshake, from our first Init to the Up that answers it. Each is returned once. */
  takeRoundTripUs(): number | undefined {
    const roundTripUs = this.#roundTripUs;
    this.#roundTripUs = undefined;
    return roundTripUs;
  }

  /** Handles one valid packet that was received at `arrival`. */
  handleRx(arrival: number, given: ControlPacket): RxOutcome {
    if (this.state === 'admin_down') return { kind: 'ignored', why: 'admin_down' };
    this.#forgetIfSilent(arrival);
    this.#expirePreviousTimers(arrival);
    const packet = this.#recognise(given);
    if (packet === undefined) return { kind: 'ignored', why: 'foreign_discr' };
    if (this.policy.rules.acceptsSlowerPeers && packet.desiredMinTxUs > MAX_PEER_INTERVAL_US)
      return { kind: 'ignored', why: 'bad_interval' };
    const namesUs = packet.peerDiscr === this.localDiscr;
    const context = { namesUs, isFreshlyUp: packet.state === 'down' && this.#isFreshlyUp(arrival) };
    const decision = this.policy.protocol.decide(this.state, packet.state, context, this.policy.rules);
    if (decision.ignore !== undefined) return { kind: 'ignored', why: decision.ignore };

    // Arrivals may be reported out of order; silence is counted from the latest.
    const lastRx = Math.max(this.lastRx ?? arrival, arrival);
    this.lastRx = lastRx;
    this.#forgetAt = undefined;
    const intervalUs = packet.requiredMinRxUs < this.peer.rxMinUs ? this.txIntervalUs : undefined;
    this.#applyPeerFields(packet);
    if (this.state === 'down' && packet.state !== 'admin_down') this.timestamps.convUpStart ??= arrival;

    const from = this.state;
    const { to, reason } = decision;
    this.#learnDiscriminator(packet, to, namesUs);
    if (reason !== undefined) this.lastDownReason = reason;
    if (packet.state === 'up' && namesUs) this.#measureRoundTrip(arrival);
    if (to !== from) this.#enter(to, arrival, reason ?? 'none', arrival);
    const allowedUs = this.#allowedSilenceUs();
    this.detectDeadline = allowedUs === undefined ? undefined : lastRx + allowedUs;
    if (intervalUs !== undefined) this.#advanceNextTransmit(arrival, intervalUs);
    return to === from ? ACCEPTED : { kind: 'changed', from };
  }

  /** Takes the session Down if its detection deadline has passed. Packets that arrived before `now` must be handled before. */
  expireIfDue(now: number): boolean {
    if (this.detectDeadline === undefined || this.detectDeadline > now) return false;
    const missingSince = this.lastRx === undefined ? now : this.lastRx + this.rxIntervalUs;
    this.#enter('down', now, 'timeout', missingSince);
    return true;
  }

  /** Renews a detection deadline that has passed. Returns the deadline. */
  armDetect(now: number): number | undefined {
    if (this.detectDeadline !== undefined && this.detectDeadline <= now) this.detectDeadline = now + this.detectTimeUs;
    return this.detectDeadline;
  }

  /** Postpones the detection deadline: the silence may be caused by this host. */
  extendDetection(deadline: number): void {
    if (this.detectDeadline !== undefined) this.detectDeadline = deadline;
  }

  /** Takes the session out of service: it announces AdminDown for one detection time, then it is silent. */
  adminDown(now: number): boolean {
    if (this.state === 'admin_down') return false;
    this.#enter('admin_down', now, 'local_admin', now);
    this.#announceAdminDownUntil = now + this.detectTimeUs;
    return true;
  }

  /** Puts the session back in service, in Down. */
  adminUp(now: number): boolean {
    if (this.state !== 'admin_down') return false;
    this.#announceAdminDownUntil = undefined;
    if (this.policy.rules.forgetsAfterSilence) {
      // Packets were ignored meanwhile: the peer may have another discriminator by now.
      this.peer.discr = 0;
    }
    this.#enter('down', now, 'local_admin', now);
    return true;
  }

  /**
   * Sets other timers, which the next packet advertises. If the change would let one side time out before the peer knows of
   * it, the previous timers count for one detection time more (RFC 5880 §6.8.3).
   */
  setTimers(now: number, timers: SessionTimers): void {
    this.#expirePreviousTimers(now);
    const isDetecting = this.state === 'init' || this.state === 'up';
    const intervalUs = this.txIntervalUs;
    const previous: PreviousTimers = {
      txMinUs: this.#desiredTxUs,
      rxMinUs: this.#desiredRxUs,
      until: now + Math.max(intervalUs * this.peer.detectMult, this.detectTimeUs),
    };
    const isGradual = previous.txMinUs < timers.txMinUs || previous.rxMinUs > timers.rxMinUs;
    if (isDetecting && isGradual) this.#previousTimers = previous;
    this.timers = timers;
    // The peer may slow down as soon as it knows.
    const allowedUs = this.#allowedSilenceUs();
    if (this.detectDeadline !== undefined && allowedUs !== undefined && this.lastRx !== undefined) {
      this.detectDeadline = Math.max(this.detectDeadline, this.lastRx + allowedUs);
    }
    this.#advanceNextTransmit(now, intervalUs);
  }

  /** Makes the next packet due at once, but not sooner than one interval after the last packet. */
  announce(now: number): number {
    const earliest = this.#lastTx === undefined ? now : Math.max(now, this.#lastTx + this.txIntervalUs);
    this.nextTx = Math.min(this.nextTx ?? earliest, earliest);
    return this.nextTx;
  }

  /** The packet to send at `now`. */
  packet(now: number): ControlPacket {
    this.#forgetIfSilent(now);
    const { identity } = this.policy;
    return new ControlPacket({
      version: PROTOCOL_VERSION,
      state: this.state,
      detectMult: this.timers.detectMult,
      localDiscr: this.localDiscr,
      peerDiscr: this.peer.discr,
      // Advertised as they are used.
      desiredMinTxUs: this.#withinBounds(this.timers.txMinUs),
      requiredMinRxUs: this.#withinBounds(this.timers.rxMinUs),
      passive: identity?.passive ?? false,
      clientVersion: identity?.version ?? NO_VERSION,
    });
  }

  /** Notes a transmit at `now` and returns when the next is due; `undefined` when AdminDown was announced for long enough. */
  computeNextTx(now: number, random: Random): number | undefined {
    this.#expirePreviousTimers(now);
    let intervalUs = this.txIntervalUs;
    if (this.state === 'down') {
      // A backoff must not make the interval shorter than the agreed one.
      const longestUs = Math.max(this.policy.backoffMaxUs, intervalUs);
      intervalUs = Math.min(intervalUs * this.#backoffFactor, longestUs);
      this.#backoffFactor = Math.min(this.#backoffFactor * 2, MAX_BACKOFF_FACTOR);
    }
    const next = now + this.policy.protocol.jitteredUs(intervalUs, this.#multipliers, random);
    this.#lastTx = now;
    if (this.state === 'init') this.#firstInitTx ??= now;
    this.nextTx = this.#announceAdminDownUntil !== undefined && next > this.#announceAdminDownUntil ? undefined : next;
    return this.nextTx;
  }

  /** The packet as this session understands it, `undefined` if it is for another session. */
  #recognise(packet: ControlPacket): ControlPacket | undefined {
    if (packet.peerDiscr === this.localDiscr) return packet;
    if (packet.peerDiscr === 0) return this.policy.requireDiscriminator && this.state === 'up' ? undefined : packet;
    const accepts =
      this.policy.rules.acceptsForeignDiscriminatorWhenDown &&
      this.state === 'down' &&
      this.peer.discr === 0 &&
      packet.state !== 'admin_down';
    return accepts ? packet.with({ state: 'down', peerDiscr: 0 }) : undefined;
  }

  /** The time since our first Init, less one interval that the peer may have waited before it answered. */
  #measureRoundTrip(arrival: number): void {
    const firstInitTx = this.#firstInitTx;
    this.#firstInitTx = undefined;
    this.#roundTripUs = firstInitTx === undefined ? undefined : Math.max(0, arrival - firstInitTx - this.rxIntervalUs);
  }

  #learnDiscriminator(packet: ControlPacket, to: State, namesUs: boolean): void {
    const { learnsFromEveryPacket } = this.policy.rules;
    if (packet.state === 'admin_down') {
      if (learnsFromEveryPacket) this.peer.discr = 0;
      return;
    }
    // In Up, only from a packet that carries our discriminator; a Down that takes us Down is of a peer that has restarted.
    const learns = learnsFromEveryPacket ? to !== 'up' || namesUs : to !== 'down' && (this.peer.discr === 0 || this.state === 'up');
    if (learns) this.peer.discr = packet.localDiscr;
  }

  #applyPeerFields(packet: ControlPacket): void {
    const { rules, minTxFloorUs } = this.policy;
    const { desiredMinTxUs } = packet;
    this.peer.txMinUs = rules.acceptsSlowerPeers ? Math.max(desiredMinTxUs, minTxFloorUs) : this.#withinBounds(desiredMinTxUs);
    this.peer.rxMinUs = this.#withinBounds(packet.requiredMinRxUs);
    this.peer.detectMult = packet.detectMult;
    this.peer.passive = packet.passive;
    this.peer.version = packet.clientVersion;
  }

  /** Makes the next packet due earlier if the transmit interval has become shorter (RFC 5880 §6.8.3). */
  #advanceNextTransmit(now: number, previousIntervalUs: number): void {
    if ((this.state === 'init' || this.state === 'up') && this.txIntervalUs < previousIntervalUs) this.announce(now);
  }

  get #multipliers(): DetectMultipliers {
    return { own: this.timers.detectMult, peer: this.peer.detectMult };
  }

  /** Our transmit interval: the faster one while previous timers count. */
  get #desiredTxUs(): number {
    const { txMinUs } = this.timers;
    return this.#previousTimers === undefined ? txMinUs : Math.min(this.#previousTimers.txMinUs, txMinUs);
  }

  /** Our receive interval: the slower one while previous timers count. */
  get #desiredRxUs(): number {
    const { rxMinUs } = this.timers;
    return this.#previousTimers === undefined ? rxMinUs : Math.max(this.#previousTimers.rxMinUs, rxMinUs);
  }

  #expirePreviousTimers(now: number): void {
    if (this.#previousTimers !== undefined && this.#previousTimers.until <= now) this.#previousTimers = undefined;
  }

  #isFreshlyUp(arrival: number): boolean {
    const { upSince } = this.timestamps;
    return this.state === 'up' && upSince !== undefined && arrival < upSince + this.detectTimeUs;
  }

  /** How long a silence the present state allows; `undefined` where nothing is detected. */
  #allowedSilenceUs(): number | undefined {
    if (this.state === 'up') return this.detectTimeUs;
    return this.state === 'init' ? Math.max(this.detectTimeUs, this.#leastInitUs) : undefined;
  }

  /** The shortest silence that ends Init: no route depends on Init yet, and a handshake may be slow. */
  get #leastInitUs(): number {
    const { initDetectMinUs, initTransmitsMin } = this.policy.rules;
    // Jitter makes an interval a tenth longer at most.
    return Math.max(initDetectMinUs, Math.floor((initTransmitsMin * this.txIntervalUs * 11) / 10));
  }

  #forgetIfSilent(now: number): void {
    if (this.#forgetAt === undefined || this.#forgetAt > now) return;
    this.#forgetAt = undefined;
    this.peer.discr = 0;
  }

  /** Changes the state. `since` is when the cause of a Down began: the first missing packet, or the one that said Down. */
  #enter(to: State, at: number, reason: DownReason, since: number): void {
    const from = this.state;
    this.state = to;
    this.#backoffFactor = 1;
    this.timestamps.lastUpdated = at;
    if (to === 'up') {
      this.timestamps.upSince = at;
      this.timestamps.convDownStart = undefined;
    } else if (to !== 'init') {
      this.lastDownReason = reason;
      this.detectDeadline = undefined;
      this.#firstInitTx = undefined;
      this.timestamps.downSince = at;
      this.timestamps.convUpStart = undefined;
      // For every reason: otherwise a peer that carries another discriminator of ours would be ignored for ever.
      if (this.policy.rules.forgetsAfterSilence) this.#forgetAt = at + this.detectTimeUs;
      if (from === 'up') this.timestamps.convDownStart = since;
    }
  }

  #withinBounds(intervalUs: number): number {
    return Math.min(Math.max(intervalUs, this.policy.minTxFloorUs), this.policy.maxTxCeilUs);
  }
}
