/**
 * All sessions of an engine, found by path and by id. No I/O and no clock: the caller passes times in whole microseconds,
 * which never go back between calls. The native engine's core does the same; the scenarios in `test/conformance` hold both
 * to it.
 */
import type { BfdSessionOptions } from '../../protocol/bfd/options.js';
import type { Random } from '../../protocol/jitter.js';
import type { DelayHistogram } from '../../protocol/delay-histogram.js';
import type { ControlPacket } from '../../protocol/packet.js';
import type { Header } from '../../protocol/protocol.js';
import { type Policy, SessionCore, type SessionTimers } from '../../protocol/session-core.js';
import type { DownReason, State } from '../../protocol/state.js';
import { Timeline, type TimelineListener, TimelineEntry, type TransitionCause } from '../../protocol/timeline.js';
import type { InvalidReason, SessionId } from '../engine.js';

/** The key of a session. */
export interface Path {
  /** Empty for a multihop session, whose packets may come by any interface (RFC 5883 §3). */
  readonly iface: string;
  readonly localIP: string;
  readonly peerIP: string;
}

export interface Transmit {
  readonly session: SessionId;
  readonly path: Path;
  readonly peerPort: number;
  /** The session is Down or AdminDown: no peer runs a detection timer for it. */
  readonly isProbe: boolean;
  readonly bytes: Uint8Array;
}

export interface CoreTransition {
  readonly kind: 'transition';
  readonly id: SessionId;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly at: number;
  readonly localStallUs: number;
  readonly peerPassive: boolean;
  readonly everUp: boolean;
  readonly convStart: number | undefined;
  readonly lastRx: number | undefined;
  readonly localDiag: number | undefined;
  readonly remoteDiag: number | undefined;
}

export type CoreEvent =
  | CoreTransition
  | { readonly kind: 'peer_passive'; readonly id: SessionId; readonly passive: boolean }
  | { readonly kind: 'long_round_trip'; readonly id: SessionId; readonly atLeastUs: number };

/** What is counted of a transition beside its states. */
export interface TransitionKind {
  /** It was never Up before. */
  readonly wasNeverUp: boolean;
  /** It went Down since the peer said so. */
  readonly isRemote: boolean;
  /** This host may have caused the silence: the detection time had been extended, or it was late in that of the peer. */
  readonly isLocal: boolean;
}

/** Counts what happens. */
export interface CoreCounters {
  received(path: Path): void;
  invalid(path: Path, reason: InvalidReason): void;
  unknownPeer(path: Path): void;
  extended(path: Path): void;
  /** A deadline entered the queue (1) or left it (-1). */
  queued(path: Path, change: 1 | -1): void;
  transition(path: Path, from: State, to: State, cause: TransitionCause, kind: TransitionKind): void;
  /** A session with diagnostics went Down or AdminDown. */
  diagnosed(path: Path, localDiag: number, remoteDiag: number): void;
  /** A session was added, in Down. */
  added(path: Path): void;
  removed(path: Path, state: State, wasUp: boolean): void;
}

class CoreSession<P extends Header = Header> extends TimelineEntry<P> {
  readonly id: SessionId;
  readonly path: Path;
  peerPort: number;

  constructor(id: SessionId, path: Path, peerPort: number, session: SessionCore<P>) {
    super(session);
    this.id = id;
    this.path = path;
    this.peerPort = peerPort;
  }
}

/** Shared by all turns without results. */
const NOTHING: never[] = [];

/**
 * In each turn the caller passes every datagram that has arrived (`handleDatagram`), runs what is due (`handleTimeout`) or
 * requested, drains `takeTransmits` and `takeEvents`, and waits until `deadline`.
 */
export class EngineCore<P extends Header = ControlPacket> implements TimelineListener<CoreSession<P>> {
  readonly #policy: Policy<P>;
  readonly #counters: CoreCounters;
  readonly #timeline: Timeline<CoreSession<P>>;
  readonly #byId = new Map<SessionId, CoreSession<P>>();
  /** By local address and the peer's address: one session per interface, in the order of their start. */
  readonly #byPath = new Map<string, Map<string, CoreSession<P>[]>>();
  readonly #byDiscriminator = new Map<number, CoreSession<P>>();
  #transmits: Transmit[] = [];
  #events: CoreEvent[] = [];

  constructor(policy: Policy<P>, maxSessions: number, random: Random, counters: CoreCounters) {
    this.#policy = policy;
    this.#counters = counters;
    this.#timeline = new Timeline(maxSessions, random, this);
  }

  /** Starts a session in Down. Its first packet leaves at once, or later if many sessions are added together. */
  addSession(
    now: number,
    id: SessionId,
    path: Path,
    peerPort: number,
    timers: SessionTimers,
    localDiscr: number,
    options?: BfdSessionOptions,
  ): void {
    const session = new SessionCore(this.#policy, timers, localDiscr, now, this.#timeline.paced(now), options);
    const known = new CoreSession(id, path, peerPort, session);
    this.#byId.set(id, known);
    this.#index(known);
    this.#timeline.add(known);
    this.#counters.added(path);
    // A record of a transition needs a previous state: a session that does not run is out of service.
    this.#report(known, 'admin_down', 'register_route', now, 0);
  }

  updateSession(now: number, id: SessionId, timers: SessionTimers, peerPort: number): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    known.session.setTimers(now, timers);
    known.peerPort = peerPort;
    this.#timeline.updateTransmit(known);
  }

  /** Gives a session other options of its protocol. */
  updateOptions(now: number, id: SessionId, options: BfdSessionOptions | undefined): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    known.session.setOptions(now, options);
    this.#timeline.updateTransmit(known);
  }

  /** Ends a session without an AdminDown announcement. */
  removeSession(id: SessionId): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#unindex(known);
    this.#timeline.remove(known);
    this.#counters.removed(known.path, known.session.state, known.session.timestamps.upSince !== undefined);
  }

  adminDown(now: number, id: SessionId): void {
    const known = this.#byId.get(id);
    const from = known?.session.state;
    if (known === undefined || from === undefined || !known.session.adminDown(now)) return;
    this.#timeline.changed(now, known, from, 'admin_down', now);
  }

  adminUp(now: number, id: SessionId): void {
    const known = this.#byId.get(id);
    if (known?.session.adminUp(now) === true) this.#timeline.changed(now, known, 'admin_down', 'register_route', now);
  }

  /** Handles one datagram: passes its packet to the session, or counts and drops it. */
  handleDatagram(now: number, arrival: number, path: Path, bytes: Uint8Array): void {
    const packet = this.#policy.protocol.decode(bytes);
    if (typeof packet === 'string') {
      this.#counters.invalid(path, packet);
      return;
    }
    const discr = this.#policy.protocol.demultiplex(packet);
    const known = this.#find(path, discr);
    if (known === undefined) {
      if (discr !== 0 && !this.#byDiscriminator.has(discr)) this.#counters.invalid(path, 'foreign_discr');
      else this.#counters.unknownPeer(path);
      return;
    }
    this.#counters.received(known.path);
    this.#handlePacket(now, arrival, known, packet);
  }

  /** The session of a packet. One that is found by its discriminator must be the sender's (RFC 5880 §6.3). */
  #find(path: Path, discr: number): CoreSession<P> | undefined {
    if (discr === 0) return this.#between(path.localIP, path.peerIP)?.find((candidate) => candidate.path.iface === path.iface);
    const known = this.#byDiscriminator.get(discr);
    return known?.path.peerIP === path.peerIP ? known : undefined;
  }

  #handlePacket(now: number, arrival: number, known: CoreSession<P>, packet: P): void {
    const { session } = known;
    const wasPassive = session.peer.passive;
    const heardBefore = session.lastRx;
    const outcome = session.handleRx(arrival, packet);
    if (outcome.kind === 'dropped') {
      this.#counters.invalid(known.path, outcome.why);
      return;
    }
    if (outcome.kind === 'ignored') {
      if (outcome.why === 'foreign_discr' || outcome.why === 'bad_interval') this.#counters.invalid(known.path, outcome.why);
      return;
    }
    const roundTripUs = session.takeRoundTripUs();
    if (roundTripUs !== undefined && roundTripUs > session.detectTimeUs) {
      this.#events.push({ kind: 'long_round_trip', id: known.id, atLeastUs: roundTripUs });
    }
    if (outcome.kind === 'changed') this.#timeline.changedByPacket(now, known, outcome.from, arrival, heardBefore);
    else if (session.peer.passive !== wasPassive) this.#events.push({ kind: 'peer_passive', id: known.id, passive: !wasPassive });
    this.#timeline.packetAccepted(known);
    const answer = session.takeAnswer(now);
    if (answer !== undefined) this.transmit(known, answer);
  }

  /** Runs what is due at `now`. Datagrams that arrived before `readUntil` must be handled before. */
  handleTimeout(now: number, readUntil: number): void {
    this.#timeline.handleTimeout(now, readUntil);
  }

  /** Notes that the caller's turn at `now` began late. */
  noteTurnDelay(now: number, delayUs: number): void {
    this.#timeline.noteTurnDelay(now, delayUs);
  }

  /** Notes that packets were read so late, until `now`. */
  noteReceiveDelay(now: number, delayUs: number): void {
    this.#timeline.noteReceiveDelay(now, delayUs);
  }

  /** Notes that a full socket buffer dropped datagrams. */
  noteSocketDrops(now: number): void {
    this.#timeline.noteSocketDrops(now);
  }

  takeTransmits(): Transmit[] {
    const transmits = this.#transmits;
    if (transmits.length === 0) return NOTHING;
    this.#transmits = [];
    return transmits;
  }

  takeEvents(): CoreEvent[] {
    const events = this.#events;
    if (events.length === 0) return NOTHING;
    this.#events = [];
    return events;
  }

  /** The latest time for the next call of `handleTimeout`. */
  get deadline(): number | undefined {
    return this.#timeline.deadline;
  }

  get queueLength(): number {
    return this.#timeline.length;
  }

  get turnDelays(): DelayHistogram {
    return this.#timeline.turnDelays;
  }

  get transmitDelays(): DelayHistogram {
    return this.#timeline.transmitDelays;
  }

  get worstTurnDelayUs(): number {
    return this.#timeline.worstTurnDelayUs;
  }

  get sessionCount(): number {
    return this.#byId.size;
  }

  get sessionIds(): IterableIterator<SessionId> {
    return this.#byId.keys();
  }

  /** Whether any session has a local address. */
  usesAddress(localIP: string): boolean {
    return this.#byPath.has(localIP);
  }

  /** Whether a session between the same addresses exists on another interface. */
  hasElsewhere({ iface, localIP, peerIP }: Path): boolean {
    return this.#between(localIP, peerIP)?.some(({ path }) => path.iface !== iface && path.iface !== '') === true;
  }

  /** The path of the latest session between two addresses, on any interface. */
  pathBetween(localIP: string, peerIP: string): Path | undefined {
    return this.#between(localIP, peerIP)?.findLast(({ path }) => path.iface !== '')?.path;
  }

  /** A session, and when its detection is checked next. */
  session(id: SessionId): Readonly<Pick<CoreSession<P>, 'session' | 'path' | 'detectScheduled'>> | undefined {
    return this.#byId.get(id);
  }

  /** @internal */
  transmit({ id, path, peerPort, session }: CoreSession<P>, bytes: Uint8Array): void {
    const isProbe = session.state === 'down' || session.state === 'admin_down';
    this.#transmits.push({ session: id, path, peerPort, isProbe, bytes });
  }

  /** @internal */
  changed(known: CoreSession<P>, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    const { state, specifics, flaps, timestamps, lastDownReason, peerDetectTimeUs } = known.session;
    const isFirstUp = state === 'up' && flaps === 0;
    const isRemote = state === 'down' && (from === 'up' || from === 'init') && cause === 'handle_rx' && lastDownReason === 'remote_down';
    const isLocal = isRemote ? localStallUs > Math.floor(peerDetectTimeUs / 4) : known.extended;
    const kind = { wasNeverUp: isFirstUp || timestamps.upSince === undefined, isRemote, isLocal };
    this.#counters.transition(known.path, from, state, cause, kind);
    if (state === 'down' || state === 'admin_down') {
      const { localDiag, remoteDiag } = specifics;
      if (localDiag !== undefined && remoteDiag !== undefined) this.#counters.diagnosed(known.path, localDiag, remoteDiag);
    }
    this.#report(known, from, cause, at, localStallUs);
  }

  #report({ id, session }: CoreSession<P>, from: State, cause: TransitionCause, at: number, localStallUs: number): void {
    const { state: to, lastDownReason: reason, timestamps, lastRx } = session;
    const convStart = to === 'up' ? timestamps.convUpStart : timestamps.convDownStart;
    const peerPassive = session.peer.passive;
    const { localDiag, remoteDiag } = session.specifics;
    const diagnostics = { localDiag, remoteDiag };
    this.#events.push({
      kind: 'transition',
      id,
      from,
      to,
      reason,
      cause,
      at,
      localStallUs,
      peerPassive,
      everUp: timestamps.upSince !== undefined,
      convStart,
      lastRx,
      ...diagnostics,
    });
  }

  /** @internal */
  extended({ path }: CoreSession<P>): void {
    this.#counters.extended(path);
  }

  /** @internal */
  queued({ path }: CoreSession<P>, change: 1 | -1): void {
    this.#counters.queued(path, change);
  }

  #between(localIP: string, peerIP: string): CoreSession<P>[] | undefined {
    return this.#byPath.get(localIP)?.get(peerIP);
  }

  #index(known: CoreSession<P>): void {
    const { localIP, peerIP } = known.path;
    const ofAddress = this.#byPath.get(localIP) ?? new Map<string, CoreSession<P>[]>();
    this.#byPath.set(localIP, ofAddress);
    ofAddress.set(peerIP, [...(ofAddress.get(peerIP) ?? []), known]);
    this.#byDiscriminator.set(known.session.localDiscr, known);
  }

  #unindex(known: CoreSession<P>): void {
    this.#byDiscriminator.delete(known.session.localDiscr);
    const { localIP, peerIP } = known.path;
    const ofAddress = this.#byPath.get(localIP);
    const rest = ofAddress?.get(peerIP)?.filter((session) => session !== known) ?? [];
    if (rest.length > 0) ofAddress?.set(peerIP, rest);
    else ofAddress?.delete(peerIP);
    if (ofAddress?.size === 0) this.#byPath.delete(localIP);
  }
}
