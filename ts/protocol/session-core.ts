/**
 * One session: the state table, the intervals, the deadlines, in whole microseconds. Pure, and the same as the native
 * engine's `session.rs`, line by line: the scenarios hold both to it.
 */
import { NO_VERSION, type VersionBytes } from './client-version.js';
import { jittered, type Random } from './jitter.js';
import { ControlPacket, PROTOCOL_VERSION } from './packet.js';
import { MAX_PEER_INTERVAL_US, type Rules } from './rules.js';
import type { DownReason, State } from './state.js';

/** Far beyond any ceiling, and far from losing precision. */
const MAX_BACKOFF_FACTOR = 2 ** 20;

/** What all sessions of an engine share. */
export interface Policy {
  readonly rules: Rules;
  readonly minTxFloorUs: number;
  readonly maxTxCeilUs: number;
  readonly backoffMaxUs: number;
  /** In Up, hear only packets that name our discriminator. */
  readonly requireDiscriminator: boolean;
  /** What we say of ourselves in bytes 20 to 24; `undefined` sends zeros, as the reference does. */
  readonly identity: { readonly passive: boolean; readonly version: VersionBytes } | undefined;
}

/** The local side's wishes for one session. */
export interface Timers {
  readonly txMinUs: number;
  readonly rxMinUs: number;
  readonly detectMult: number;
}

/** What the peer said of itself in the last accepted packet; zeros before one. */
export interface PeerView {
  discr: number;
  txMinUs: number;
  rxMinUs: number;
  detectMult: number;
  passive: boolean;
  version: VersionBytes;
}

/** Why a packet changed nothing, not even a timer. */
export type Ignored = 'admin_down' | 'foreign_discr' | 'stale_down' | 'bad_interval';

/** What a session did with a packet. */
export type Heard =
  { readonly kind: 'ignored'; readonly why: Ignored } | { readonly kind: 'accepted' } | { readonly kind: 'changed'; readonly from: State };

/** When the session's life took its turns, in microseconds; each is `undefined` until then. */
export interface Moments {
  convUpStart: number | undefined;
  convDownStart: number | undefined;
  upSince: number | undefined;
  downSince: number | undefined;
  lastUpdated: number | undefined;
}

/**
 * Wishes that still count after others were made, until the peer must have heard of those (RFC 5880 §6.8.3): the faster
 * transmit interval and the slower receive interval.
 */
interface Former {
  readonly txMinUs: number;
  readonly rxMinUs: number;
  readonly until: number;
}

const ACCEPTED: Heard = { kind: 'accepted' };

export class SessionCore {
  readonly localDiscr: number;
  readonly policy: Policy;
  readonly peer: PeerView = { discr: 0, txMinUs: 0, rxMinUs: 0, detectMult: 0, passive: false, version: NO_VERSION };
  readonly moments: Moments;
  /** What was wished for last. It is given by `setTimers`. */
  timers: Timers;
  state: State = 'down';
  lastDownReason: DownReason = 'none';
  lastRx: number | undefined;
  /** When silence makes the session Down; `undefined` outside of Init and Up. */
  detectDeadline: number | undefined;
  /** When the next packet is due; `undefined` where none is. */
  nextTx: number | undefined;
  #former: Former | undefined;
  #backoffFactor = 1;
  #forgetAt: number | undefined;
  #farewellUntil: number | undefined;
  #lastTx: number | undefined;
  #initSaid: number | undefined;
  #roundTripUs: number | undefined;

  /** A session in Down that wants to send at `firstTx`. */
  constructor(policy: Policy, timers: Timers, localDiscr: number, now: number, firstTx: number) {
    this.policy = policy;
    this.timers = timers;
    this.localDiscr = localDiscr;
    this.nextTx = firstTx;
    this.moments = { convUpStart: undefined, convDownStart: undefined, upSince: undefined, downSince: now, lastUpdated: now };
  }

  /** RFC 5880 §6.8.7: not faster than either side wants. */
  get txIntervalUs(): number {
    const wished = this.#wishedTxUs;
    return this.#withinBounds(Math.max(wished, this.peer.rxMinUs));
  }

  /** How often the peer sends: not faster than either side wants. */
  get rxIntervalUs(): number {
    const { rules, minTxFloorUs, maxTxCeilUs } = this.policy;
    const wished = this.#wishedRxUs;
    const agreed = Math.max(this.peer.txMinUs, wished, minTxFloorUs);
    return rules.acceptsSlowerPeers ? agreed : Math.min(agreed, maxTxCeilUs);
  }

  /** So much silence means Down: our own multiplier times the agreed interval, in this protocol. */
  get detectTimeUs(): number {
    return this.timers.detectMult * this.rxIntervalUs;
  }

  /** Gives the round trip of a handshake, at least, once: from our first Init to the Up that answers it. */
  takeRoundTripUs(): number | undefined {
    const roundTripUs = this.#roundTripUs;
    this.#roundTripUs = undefined;
    return roundTripUs;
  }

  /** Handles one valid packet. `arrival` is when it was received. */
  handleRx(arrival: number, given: ControlPacket): Heard {
    if (this.state === 'admin_down') return { kind: 'ignored', why: 'admin_down' };
    this.#forgetIfSilent(arrival);
    this.#endFormer(arrival);
    const packet = this.#recognise(given);
    if (packet === undefined) return { kind: 'ignored', why: 'foreign_discr' };
    if (this.policy.rules.acceptsSlowerPeers && packet.desiredMinTxUs > MAX_PEER_INTERVAL_US)
      return { kind: 'ignored', why: 'bad_interval' };
    if (packet.state === 'down' && this.#isStaleDown(arrival)) return { kind: 'ignored', why: 'stale_down' };

    // Arrivals may be reported out of order; silence is counted from the latest.
    const heardAt = Math.max(this.lastRx ?? arrival, arrival);
    this.lastRx = heardAt;
    this.#forgetAt = undefined;
    const intervalUs = packet.requiredMinRxUs < this.peer.rxMinUs ? this.txIntervalUs : undefined;
    this.#takePeerWishes(packet);
    if (this.state === 'down' && packet.state !== 'admin_down') this.moments.convUpStart ??= arrival;

    const from = this.state;
    const mine = packet.peerDiscr === this.localDiscr;
    const to = this.#nextState(packet.state, mine);
    this.#learn(packet, to, mine);
    if (packet.state === 'admin_down') this.lastDownReason = 'remote_admin';
    if (packet.state === 'up' && mine) {
      const said = this.#initSaid;
      this.#initSaid = undefined;
      this.#roundTripUs = said === undefined ? undefined : Math.max(0, arrival - said - this.rxIntervalUs);
    }
    if (to !== from) this.#enter(to, arrival, packet.state === 'admin_down' ? 'remote_admin' : 'remote_down', arrival);
    const allowedUs = this.#silenceAllowedUs();
    this.detectDeadline = allowedUs === undefined ? undefined : heardAt + allowedUs;
    if (intervalUs !== undefined) this.#hurry(arrival, intervalUs);
    return to === from ? ACCEPTED : { kind: 'changed', from };
  }

  /** Declares the session Down if it has been silent for too long. Everything that arrived before `now` was read before. */
  expireIfDue(now: number): boolean {
    if (this.detectDeadline === undefined || this.detectDeadline > now) return false;
    const missingSince = this.lastRx === undefined ? now : this.lastRx + this.rxIntervalUs;
    this.#enter('down', now, 'timeout', missingSince);
    return true;
  }

  /** Sees to it that a deadline, where there is one, lies ahead: one that has passed is set anew. */
  armDetect(now: number): number | undefined {
    if (this.detectDeadline !== undefined && this.detectDeadline <= now) this.detectDeadline = now + this.detectTimeUs;
    return this.detectDeadline;
  }

  /** Puts the end of the silence off: used where the silence may be our own fault. */
  extendDetection(deadline: number): void {
    if (this.detectDeadline !== undefined) this.detectDeadline = deadline;
  }

  /** Out of service: AdminDown is repeated for one detection time, then the session is silent. */
  adminDown(now: number): boolean {
    if (this.state === 'admin_down') return false;
    this.#enter('admin_down', now, 'local_admin', now);
    this.#farewellUntil = now + this.detectTimeUs;
    return true;
  }

  /** Back in service, in Down. */
  adminUp(now: number): boolean {
    if (this.state !== 'admin_down') return false;
    this.#farewellUntil = undefined;
    if (this.policy.rules.forgetsAfterSilence) {
      // Nothing was heard out of service: the peer may be another by now, or know another of us.
      this.peer.discr = 0;
    }
    this.#enter('down', now, 'local_admin', now);
    return true;
  }

  /**
   * Gives the session other timers. They are advertised with the next packet. Where a peer that has not heard of them would be
   * taken for dead, or would take us for dead, the former ones count for a detection time more: by then it has heard of them,
   * or is gone.
   */
  setTimers(now: number, timers: Timers): void {
    this.#endFormer(now);
    const isHeard = this.state === 'init' || this.state === 'up';
    const intervalUs = this.txIntervalUs;
    const former: Former = {
      txMinUs: this.#wishedTxUs,
      rxMinUs: this.#wishedRxUs,
      until: now + Math.max(intervalUs * this.peer.detectMult, this.detectTimeUs),
    };
    if (isHeard && (former.txMinUs < timers.txMinUs || former.rxMinUs > timers.rxMinUs)) this.#former = former;
    this.timers = timers;
    // The peer may slow down as soon as it hears of it.
    const allowedUs = this.#silenceAllowedUs();
    if (this.detectDeadline !== undefined && allowedUs !== undefined && this.lastRx !== undefined) {
      this.detectDeadline = Math.max(this.detectDeadline, this.lastRx + allowedUs);
    }
    this.#hurry(now, intervalUs);
  }

  /** Makes the next packet leave at once, but not sooner than one interval after the last. */
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
      // What we advertise is what we do.
      desiredMinTxUs: this.#withinBounds(this.timers.txMinUs),
      requiredMinRxUs: this.#withinBounds(this.timers.rxMinUs),
      passive: identity?.passive ?? false,
      clientVersion: identity?.version ?? NO_VERSION,
    });
  }

  /** Notes a transmit at `now` and picks the time of the next; none once an AdminDown has been said for long enough. */
  computeNextTx(now: number, random: Random): number | undefined {
    this.#endFormer(now);
    let intervalUs = this.txIntervalUs;
    if (this.state === 'down') {
      // Backing off never makes us faster than either side wants.
      const longestUs = Math.max(this.policy.backoffMaxUs, intervalUs);
      intervalUs = Math.min(intervalUs * this.#backoffFactor, longestUs);
      this.#backoffFactor = Math.min(this.#backoffFactor * 2, MAX_BACKOFF_FACTOR);
    }
    const next = now + jittered(intervalUs, this.peer.detectMult, random);
    this.#lastTx = now;
    if (this.state === 'init') this.#initSaid ??= now;
    this.nextTx = this.#farewellUntil !== undefined && next > this.#farewellUntil ? undefined : next;
    return this.nextTx;
  }

  /** The packet as this session takes it, or `undefined` where it is meant for another. */
  #recognise(packet: ControlPacket): ControlPacket | undefined {
    if (packet.peerDiscr === this.localDiscr) return packet;
    if (packet.peerDiscr === 0) return this.policy.requireDiscriminator && this.state === 'up' ? undefined : packet;
    const hears =
      this.policy.rules.hearsStrangersWhenDown && this.state === 'down' && this.peer.discr === 0 && packet.state !== 'admin_down';
    return hears ? packet.with({ state: 'down', peerDiscr: 0 }) : undefined;
  }

  /** The state table (RFC 5880 §6.8.6, and §6.2 for Init under rules that stay there). */
  #nextState(received: State, mine: boolean): State {
    if (received === 'admin_down') return 'down';
    switch (this.state) {
      case 'admin_down':
        return 'admin_down';
      case 'down':
        return received !== 'down' && mine ? 'up' : 'init';
      case 'init':
        if (received === 'down') return this.policy.rules.staysInitOnDown ? 'init' : 'down';
        return mine ? 'up' : 'init';
      case 'up':
        return received === 'down' ? 'down' : 'up';
    }
  }

  #learn(packet: ControlPacket, to: State, mine: boolean): void {
    const { learnsFromEveryPacket } = this.policy.rules;
    if (packet.state === 'admin_down') {
      if (learnsFromEveryPacket) this.peer.discr = 0;
      return;
    }
    // In Up, only from a packet that proves to know us; but a Down that takes us Down is the new life of the peer.
    const learns = learnsFromEveryPacket ? to !== 'up' || mine : to !== 'down' && (this.peer.discr === 0 || this.state === 'up');
    if (learns) this.peer.discr = packet.localDiscr;
  }

  #takePeerWishes(packet: ControlPacket): void {
    const { rules, minTxFloorUs } = this.policy;
    const { desiredMinTxUs } = packet;
    this.peer.txMinUs = rules.acceptsSlowerPeers ? Math.max(desiredMinTxUs, minTxFloorUs) : this.#withinBounds(desiredMinTxUs);
    this.peer.rxMinUs = this.#withinBounds(packet.requiredMinRxUs);
    this.peer.detectMult = packet.detectMult;
    this.peer.passive = packet.passive;
    this.peer.version = packet.clientVersion;
  }

  /**
   * Brings the next packet forward where the interval has become shorter than this: nobody waits longer than the new one
   * between two packets (RFC 5880 §6.8.3).
   */
  #hurry(now: number, formerIntervalUs: number): void {
    if ((this.state === 'init' || this.state === 'up') && this.txIntervalUs < formerIntervalUs) this.announce(now);
  }

  /** The transmit interval that counts of those that we wished for. */
  get #wishedTxUs(): number {
    const { txMinUs } = this.timers;
    return this.#former === undefined ? txMinUs : Math.min(this.#former.txMinUs, txMinUs);
  }

  /** The receive interval that counts of those that we wished for. */
  get #wishedRxUs(): number {
    const { rxMinUs } = this.timers;
    return this.#former === undefined ? rxMinUs : Math.max(this.#former.rxMinUs, rxMinUs);
  }

  #endFormer(now: number): void {
    if (this.#former !== undefined && this.#former.until <= now) this.#former = undefined;
  }

  #isStaleDown(arrival: number): boolean {
    const { upSince } = this.moments;
    return this.state === 'up' && upSince !== undefined && arrival < upSince + this.detectTimeUs;
  }

  #silenceAllowedUs(): number | undefined {
    if (this.state === 'up') return this.detectTimeUs;
    return this.state === 'init' ? Math.max(this.detectTimeUs, this.#leastInitUs) : undefined;
  }

  /** The least that Init lasts in silence: nothing is installed in it, and the handshake may be slow. */
  get #leastInitUs(): number {
    const { initDetectMinUs, initTransmitsMin } = this.policy.rules;
    // With the jitter of a tenth.
    return Math.max(initDetectMinUs, Math.floor((initTransmitsMin * this.txIntervalUs * 11) / 10));
  }

  #forgetIfSilent(now: number): void {
    if (this.#forgetAt === undefined || this.#forgetAt > now) return;
    this.#forgetAt = undefined;
    this.peer.discr = 0;
  }

  /** Changes the state. `since` is when the reason for a change out of service began to show. */
  #enter(to: State, at: number, reason: DownReason, since: number): void {
    const from = this.state;
    this.state = to;
    this.#backoffFactor = 1;
    this.moments.lastUpdated = at;
    if (to === 'up') {
      this.moments.upSince = at;
      this.moments.convDownStart = undefined;
    } else if (to !== 'init') {
      this.lastDownReason = reason;
      this.detectDeadline = undefined;
      this.#initSaid = undefined;
      this.moments.downSince = at;
      this.moments.convUpStart = undefined;
      // Whatever led here: else a peer that names another discriminator is never heard again.
      if (this.policy.rules.forgetsAfterSilence) this.#forgetAt = at + this.detectTimeUs;
      if (from === 'up') this.moments.convDownStart = since;
    }
  }

  #withinBounds(intervalUs: number): number {
    return Math.min(Math.max(intervalUs, this.policy.minTxFloorUs), this.policy.maxTxCeilUs);
  }
}
