/**
 * One session: state, intervals and deadlines, in whole microseconds. No I/O and no clock. The native engine's `session.rs`
 * does the same line by line; the scenarios in `test/conformance` hold both to it.
 */
import type { BfdSessionOptions } from './bfd/options.js';
import { NO_VERSION, type VersionBytes } from './client-version.js';
import type { Random } from './jitter.js';
import type { ControlPacket, InvalidReason } from './packet.js';
import type { DetectMultipliers, Header, Protocol, SenderDetails } from './protocol.js';
import { MAX_PEER_INTERVAL_US, type Rules } from './rules.js';
import type { Sending, Specifics } from './specifics.js';
import type { DownReason, State } from './state.js';
import type { IgnoreReason, Names, Situation } from './transition.js';

/** While Down the interval is doubled at most this often: beyond any ceiling, and small enough for exact arithmetic. */
const MOST_DOUBLINGS = 20;

/** The native engine has 16 bits for flaps, and for a gap. */
const MOST_COUNTED = 0xffff;

/** The settings that all sessions of an engine share. */
export interface Policy<P extends Header = ControlPacket> {
  readonly protocol: Protocol<P>;
  readonly rules: Rules;
  readonly minTxFloorUs: number;
  readonly maxTxCeilUs: number;
  readonly backoffMaxUs: number;
  /** In Up, accept only packets that carry our discriminator. */
  readonly requireDiscriminator: boolean;
  /** What we say of ourselves beyond the header; `undefined` says nothing, as the reference does. */
  readonly identity: SenderDetails | undefined;
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
  /** The protocol of the session drops the packet. */
  | { readonly kind: 'dropped'; readonly why: InvalidReason }
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
 * The timers before a change. Until the peer must know the new timers, or has answered our Poll, the faster transmit interval and
 * the slower receive interval of both sets count (RFC 5880 §6.8.3).
 */
interface PreviousTimers {
  readonly txMinUs: number;
  readonly rxMinUs: number;
  readonly until: number;
}

const ACCEPTED: RxOutcome = { kind: 'accepted' };

export class SessionCore<P extends Header = ControlPacket> {
  readonly localDiscr: number;
  readonly policy: Policy<P>;
  /** What is specific to a session of this protocol. */
  readonly specifics: Specifics<P>;
  readonly peer: PeerView = { discr: 0, txMinUs: 0, rxMinUs: 0, detectMult: 0, passive: false, version: NO_VERSION };
  readonly timestamps: Timestamps;
  /** The timers set last, by `setTimers`. */
  timers: SessionTimers;
  state: State = 'down';
  lastDownReason: DownReason = 'none';
  lastRx: number | undefined;
  /** How often the session left Up; 65 535 stands for any number beyond. */
  flaps = 0;
  /** The longest time between two packets since the session came Up, in milliseconds, rounded up; 65 535 stands for any beyond. */
  worstGapMs = 0;
  /** When silence takes the session Down; `undefined` outside of Init and Up. */
  detectDeadline: number | undefined;
  /** When the next packet is due; `undefined` if none is. */
  nextTx: number | undefined;
  #previousTimers: PreviousTimers | undefined;
  /** How many packets were sent in this Down. */
  #doublings = 0;
  #forgetAt: number | undefined;
  #announceAdminDownUntil: number | undefined;
  #lastTx: number | undefined;
  #firstInitTx: number | undefined;
  #roundTripUs: number | undefined;

  /** A session in Down whose first packet is due at `firstTx`, if it may send any. */
  constructor(policy: Policy<P>, timers: SessionTimers, localDiscr: number, now: number, firstTx: number, options?: BfdSessionOptions) {
    this.policy = policy;
    this.timers = timers;
    this.localDiscr = localDiscr;
    this.specifics = policy.protocol.specifics(options, localDiscr);
    this.nextTx = this.sending === 'nothing' ? undefined : firstTx;
    this.timestamps = { convUpStart: undefined, convDownStart: undefined, upSince: undefined, downSince: now, lastUpdated: now };
  }

  /** What the session may send. */
  get sending(): Sending {
    return this.specifics.sending(this.state, this.peer.discr !== 0);
  }

  /** RFC 5880 §6.8.7: the slower of our transmit interval and the peer's receive interval. */
  get txIntervalUs(): number {
    const desired = this.#desiredTxUs;
    const { rxMinUs } = this.peer;
    if (this.policy.protocol.followsSlowReceivers) return Math.max(this.#withinBounds(desired), rxMinUs);
    return this.#withinBounds(Math.max(desired, rxMinUs));
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
    return this.policy.protocol.detectMult(this.#multipliers) * this.rxIntervalUs;
  }

  /** For how long the peer, as far as it has told, waits for a packet of this session in Up. */
  get peerDetectTimeUs(): number {
    const { own, peer } = this.#multipliers;
    return this.policy.protocol.detectMult({ own: peer, peer: own }) * Math.max(this.timers.txMinUs, this.peer.rxMinUs);
  }

  /** The least round trip of the last handshake, from our first Init to the Up that answers it. Each is returned once. */
  takeRoundTripUs(): number | undefined {
    const roundTripUs = this.#roundTripUs;
    this.#roundTripUs = undefined;
    return roundTripUs;
  }

  /** Handles one valid packet that was received at `arrival`. */
  handleRx(arrival: number, packet: P): RxOutcome {
    const { protocol, rules } = this.policy;
    if (this.state !== 'admin_down') {
      this.#forgetIfSilent(arrival);
      this.#expirePreviousTimers(arrival);
    }
    const fault = this.specifics.authenticate(packet, arrival, this.detectTimeUs);
    if (fault !== undefined) return { kind: 'dropped', why: fault };
    const situation = this.#situation(arrival, packet);
    const verdict = protocol.receive(rules, situation);
    if (verdict.ignore !== undefined) return { kind: 'ignored', why: verdict.ignore };

    // Arrivals may be reported out of order; silence is counted from the latest.
    const lastRx = Math.max(this.lastRx ?? arrival, arrival);
    if (this.state === 'up') this.#noteGap(lastRx);
    this.lastRx = lastRx;
    this.#forgetAt = undefined;
    const intervalUs = packet.requiredMinRxUs < this.peer.rxMinUs ? this.txIntervalUs : undefined;
    this.#applyPeerFields(packet);
    if (this.specifics.apply(packet)) this.#previousTimers = undefined;
    if (this.state === 'down' && packet.state !== 'admin_down') this.timestamps.convUpStart ??= arrival;

    const from = this.state;
    const { to, peerDiscr } = verdict;
    if (peerDiscr !== 'keep') this.peer.discr = peerDiscr === 'learn' ? packet.localDiscr : 0;
    const reason = packet.state === 'admin_down' ? 'remote_admin' : 'remote_down';
    if (packet.state === 'admin_down') this.lastDownReason = reason;
    if (protocol.measuresRoundTrip && packet.state === 'up' && situation.names === 'us') this.#measureRoundTrip(arrival);
    if (to !== from) this.#enter(to, arrival, reason, arrival);
    const allowedUs = this.#allowedSilenceUs();
    this.detectDeadline = allowedUs === undefined ? undefined : lastRx + allowedUs;
    if (intervalUs !== undefined) this.#advanceNextTransmit(arrival, intervalUs);
    this.#pauseOrResume(arrival);
    if (to !== from) return { kind: 'changed', from };
    if (to === 'down' && rules.forgetsAfterSilence) this.#forgetAt = lastRx + this.detectTimeUs;
    return ACCEPTED;
  }

  /** Gives the session other options of its protocol. */
  setOptions(now: number, options: BfdSessionOptions | undefined): void {
    this.specifics.setOptions(options);
    this.#pauseOrResume(now);
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

  /** Postpones the detection deadline, where the given one is later: the silence may be caused by this host. */
  extendDetection(deadline: number): void {
    if (this.detectDeadline !== undefined) this.detectDeadline = Math.max(this.detectDeadline, deadline);
  }

  /** Takes the session out of service: it announces AdminDown for one detection time at least, then it is silent. */
  adminDown(now: number): boolean {
    if (this.state === 'admin_down') return false;
    const { detectTimeUs } = this;
    this.#enter('admin_down', now, 'local_admin', now);
    const toldUs = this.timers.detectMult * this.#intervalInStateUs(this.txIntervalUs);
    this.#announceAdminDownUntil = now + this.policy.protocol.announcementUs(toldUs, detectTimeUs);
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
   * it, the previous timers count until it must know (`Protocol.previousTimersUs`, RFC 5880 §6.8.3).
   */
  setTimers(now: number, timers: SessionTimers): void {
    this.#expirePreviousTimers(now);
    const isDetecting = this.state === 'init' || this.state === 'up';
    const intervalUs = this.txIntervalUs;
    const lastUs = this.policy.protocol.previousTimersUs(intervalUs * this.peer.detectMult, this.detectTimeUs);
    const hasOtherIntervals = this.timers.txMinUs !== timers.txMinUs || this.timers.rxMinUs !== timers.rxMinUs;
    const previous: PreviousTimers = { txMinUs: this.#desiredTxUs, rxMinUs: this.#desiredRxUs, until: now + lastUs };
    const isGradual = previous.txMinUs < timers.txMinUs || previous.rxMinUs > timers.rxMinUs;
    if (isDetecting && isGradual) this.#previousTimers = previous;
    this.timers = timers;
    // The peer may slow down as soon as it knows.
    const allowedUs = this.#allowedSilenceUs();
    if (this.detectDeadline !== undefined && allowedUs !== undefined && this.lastRx !== undefined) {
      this.detectDeadline = Math.max(this.detectDeadline, this.lastRx + allowedUs);
    }
    this.#advanceNextTransmit(now, intervalUs);
    if (!hasOtherIntervals) return;
    this.specifics.intervalsChanged(this.state);
    this.#pauseOrResume(now);
  }

  /** Makes the next packet due at once, but not sooner than one interval after the last packet. */
  announce(now: number): number {
    const earliest = this.#lastTx === undefined ? now : Math.max(now, this.#lastTx + this.txIntervalUs);
    this.nextTx = Math.min(this.nextTx ?? earliest, earliest);
    return this.nextTx;
  }

  /** The packet to send at `now`. */
  packet(now: number): P {
    this.#forgetIfSilent(now);
    return this.policy.protocol.packet(this.#header(), this.policy.identity, this.specifics, false);
  }

  /** The packet to send at `now`, as the wire has it; `undefined` if the session may send nothing. */
  datagram(now: number): Uint8Array | undefined {
    const packet = this.packet(now);
    if (this.sending === 'nothing') {
      this.nextTx = undefined;
      return undefined;
    }
    return this.policy.protocol.encode(packet, this.specifics, now);
  }

  /** The answer that the peer waits for, if it does: it leaves at once, whatever the transmit timer says. */
  takeAnswer(now: number): Uint8Array | undefined {
    if (!this.specifics.takeAnswer()) return undefined;
    const { protocol, identity } = this.policy;
    return protocol.encode(protocol.packet(this.#header(), identity, this.specifics, true), this.specifics, now);
  }

  /**
   * Notes a transmit at `now` and returns when the next is due; `undefined` when AdminDown was announced for long enough, or no
   * periodic packets may be sent.
   */
  computeNextTx(now: number, random: Random): number | undefined {
    this.#expirePreviousTimers(now);
    const { protocol, backoffMaxUs } = this.policy;
    const intervalUs = protocol.txIntervalUs(this.state, this.txIntervalUs, this.#doublings, backoffMaxUs);
    if (this.state === 'down') this.#doublings = Math.min(this.#doublings + 1, MOST_DOUBLINGS);
    const next = now + protocol.jitteredUs(intervalUs, this.#multipliers, random);
    this.#lastTx = now;
    if (this.state === 'init') this.#firstInitTx ??= now;
    const isAnnounced = this.#announceAdminDownUntil !== undefined && next > this.#announceAdminDownUntil;
    this.nextTx = isAnnounced || this.sending !== 'periodic' ? undefined : next;
    return this.nextTx;
  }

  #header(): Header {
    return {
      state: this.state,
      detectMult: this.timers.detectMult,
      localDiscr: this.localDiscr,
      peerDiscr: this.peer.discr,
      // Advertised as they are used.
      desiredMinTxUs: this.policy.protocol.advertisedTxUs(this.state, this.#withinBounds(this.timers.txMinUs)),
      requiredMinRxUs: this.#withinBounds(this.timers.rxMinUs),
    };
  }

  #situation(arrival: number, packet: P): Situation {
    const { rules, requireDiscriminator } = this.policy;
    return {
      state: this.state,
      received: packet.state,
      names: this.#namesOf(packet),
      knowsPeer: this.peer.discr !== 0,
      requiresDiscriminator: requireDiscriminator,
      intervalIsFollowed: !rules.acceptsSlowerPeers || packet.desiredMinTxUs <= MAX_PEER_INTERVAL_US,
      isFreshlyUp: packet.state === 'down' && this.#isFreshlyUp(arrival),
    };
  }

  #namesOf({ peerDiscr }: P): Names {
    if (peerDiscr === this.localDiscr) return 'us';
    return peerDiscr === 0 ? 'nobody' : 'another';
  }

  /** The time since our first Init, less one interval that the peer may have waited before it answered. */
  #measureRoundTrip(arrival: number): void {
    const firstInitTx = this.#firstInitTx;
    this.#firstInitTx = undefined;
    this.#roundTripUs = firstInitTx === undefined ? undefined : Math.max(0, arrival - firstInitTx - this.rxIntervalUs);
  }

  #applyPeerFields(packet: P): void {
    const { protocol, rules, minTxFloorUs } = this.policy;
    const { desiredMinTxUs, requiredMinRxUs } = packet;
    const { passive, clientVersion } = protocol.details(packet);
    this.peer.txMinUs = rules.acceptsSlowerPeers ? Math.max(desiredMinTxUs, minTxFloorUs) : this.#withinBounds(desiredMinTxUs);
    this.peer.rxMinUs = protocol.followsSlowReceivers ? Math.max(requiredMinRxUs, minTxFloorUs) : this.#withinBounds(requiredMinRxUs);
    this.peer.detectMult = packet.detectMult;
    this.peer.passive = passive;
    this.peer.version = clientVersion;
  }

  /** Makes the next packet due earlier if the transmit interval has become shorter (RFC 5880 §6.8.3). */
  #advanceNextTransmit(now: number, previousIntervalUs: number): void {
    if (this.state !== 'init' && this.state !== 'up') return;
    if (this.#intervalInStateUs(this.txIntervalUs) < this.#intervalInStateUs(previousIntervalUs)) this.announce(now);
  }

  /** Ends periodic transmits if the session may not send any, and begins them again if it may. */
  #pauseOrResume(now: number): void {
    if (this.sending !== 'periodic') this.nextTx = undefined;
    else if (this.nextTx === undefined && this.state !== 'admin_down') this.announce(now);
  }

  /** The transmit interval that is used in the present state if this one is agreed, without backoff. */
  #intervalInStateUs(agreedUs: number): number {
    return this.policy.protocol.txIntervalUs(this.state, agreedUs, 0, this.policy.backoffMaxUs);
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

  #noteGap(heardAt: number): void {
    const gapUs = heardAt - (this.lastRx ?? heardAt);
    if (gapUs > this.worstGapMs * 1_000) this.worstGapMs = Math.min(Math.ceil(gapUs / 1_000), MOST_COUNTED);
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
    this.specifics.entered(to, reason);
    this.#doublings = 0;
    this.timestamps.lastUpdated = at;
    if (to === 'up') {
      this.timestamps.upSince = at;
      this.worstGapMs = 0;
      this.timestamps.convDownStart = undefined;
    } else if (to !== 'init') {
      this.lastDownReason = reason;
      this.detectDeadline = undefined;
      this.#firstInitTx = undefined;
      this.timestamps.downSince = at;
      this.timestamps.convUpStart = undefined;
      // For every reason: otherwise a peer that carries another discriminator of ours would be ignored for ever.
      if (this.policy.rules.forgetsAfterSilence) this.#forgetAt = at + this.detectTimeUs;
      if (from === 'up') {
        this.timestamps.convDownStart = since;
        this.flaps = Math.min(this.flaps + 1, MOST_COUNTED);
      }
      // The next Up begins with a Poll.
      if (this.policy.protocol.polls) this.#previousTimers = undefined;
    }
  }

  #withinBounds(intervalUs: number): number {
    return Math.min(Math.max(intervalUs, this.policy.minTxFloorUs), this.policy.maxTxCeilUs);
  }
}
