/**
 * The JavaScript engine: the core on timers of the event loop, over `node:dgram` or a transport of the user's. It serves where
 * no addon fits, and is what the native engine is measured against.
 */
import type { AddressInfo } from 'node:net';

import { LONGEST_WAIT_MS, monotonicNow } from '../../base/clock.js';
import { closedError, codeOf, messageOf } from '../../base/errors.js';
import { NO_VERSION } from '../../protocol/client-version.js';
import { Xorshift32 } from '../../protocol/jitter.js';
import { LIVENESS } from '../../protocol/liveness.js';
import { randomWord } from '../../protocol/random.js';
import { ROBUST } from '../../protocol/rules.js';
import { randomDiscriminator } from '../../protocol/session.js';
import { readSession } from '../../protocol/session-status.js';
import { Throttle } from '../../base/throttle.js';
import { MOST_ROUNDS } from '../../protocol/timeline.js';
import { hasInterface, interfaceOf, isLocalAddress } from '../../base/host-interfaces.js';
import type { UDPService } from '../../protocol/udp-service.js';
import { type CoreEvent, type CoreTransition, EngineCore, type Path } from './engine-core.js';
import { EndpointCounters } from './endpoint-counters.js';
import type {
  Capabilities,
  Engine,
  EngineListener,
  EngineOptions,
  EngineReading,
  EngineStats,
  PathFault,
  SessionId,
  SessionPath,
  SessionRecord,
  SessionSpec,
} from '../engine.js';
import { DropReporter } from './drop-reporter.js';
import { sendBufferFor } from './send-buffer.js';
import { DgramTransport, ServiceTransport, type Transport, type TransportListener } from './transport.js';

/** An AdminDown to all peers is repeated no longer than this. */
const ADMIN_DOWN_MAX_US = 3_000_000;

/** So many sessions begin in one turn of the event loop: they take about a millisecond. */
const PORTION = 50;

export class JsEngine implements Engine {
  readonly kind = 'js';
  readonly capabilities: Capabilities;
  readonly arming = undefined;
  readonly #core: EngineCore;
  readonly #counters = new EndpointCounters();
  readonly #listener: EngineListener;
  readonly #throttle = new Throttle();
  readonly #dropReporter = new DropReporter();
  readonly #discriminators = new Set<number>();
  /** Sessions that were added and have not begun: in portions. */
  readonly #notStarted = new Map<SessionId, SessionSpec>();
  /** The interfaces of local addresses: a listing per packet of a stranger would cost more than the packet. */
  readonly #ownInterfaces = new Map<string, string>();
  /** Keeps the process alive while the engine is open and referenced. */
  readonly #anchor = setInterval(() => undefined, LONGEST_WAIT_MS);
  #transport!: Transport;
  #timer: NodeJS.Timeout | undefined;
  #timerAt: number | undefined;
  #reads = 0;
  #readErrors = 0;
  #turns = 0;
  #sendBufferFull = 0;
  #warnedOfSmallBuffer = false;
  #isDraining = false;
  #closing: Promise<EngineStats> | undefined;
  #ended = false;

  private constructor(options: EngineOptions, listener: EngineListener, hasPacketInfo: boolean) {
    const { minTxFloorUs, maxTxCeilUs, backoffMaxUs, requireDiscriminator, clientVersion, passive, maxSessions } = options;
    const identity = passive || clientVersion !== undefined ? { passive, version: clientVersion ?? NO_VERSION } : undefined;
    const random = new Xorshift32(randomWord());
    const policy = { protocol: LIVENESS, rules: ROBUST, minTxFloorUs, maxTxCeilUs, backoffMaxUs, requireDiscriminator, identity };
    this.#core = new EngineCore(policy, maxSessions, () => random.next(), this.#counters);
    this.#listener = listener;
    this.capabilities = Object.freeze({
      pktinfo: hasPacketInfo,
      interfaceBinding: hasPacketInfo,
      arrivalTime: hasPacketInfo,
      armedRoutes: false,
      independentOfEventLoop: false,
      realtime: false,
    });
  }

  /**
   * @param reason why it is this engine that serves, where nobody asked for it
   * @throws LivenessError the system's error where the address cannot be bound
   */
  static async start(options: EngineOptions, listener: EngineListener, udp?: UDPService, reason?: string): Promise<JsEngine> {
    const engine = new JsEngine(options, listener, udp !== undefined);
    const receives = engine.#transportListener();
    try {
      engine.#transport =
        udp === undefined ? await DgramTransport.start(options.bindIP, options.port, receives) : new ServiceTransport(udp, receives);
    } catch (error) {
      clearInterval(engine.#anchor);
      throw error;
    }
    const lacking = Object.entries(engine.capabilities).flatMap(([name, has]) => (has === true ? [] : [name]));
    const limits = `The JavaScript engine serves. It lacks ${lacking.join(', ')}: sessions depend on the event loop.`;
    listener.warning('ERR_ENGINE_UNAVAILABLE', reason === undefined ? limits : `${limits} ${reason}`);
    return engine;
  }

  localAddr(): AddressInfo | undefined {
    return this.#ended ? undefined : this.#transport.localAddr();
  }

  checkPaths(paths: readonly SessionPath[]): PathFault[] {
    this.#assertOpen();
    return paths.flatMap(({ iface, localIP }, index): PathFault[] => {
      if (!hasInterface(iface)) return [{ index, code: 'ERR_NO_SUCH_INTERFACE' }];
      return isLocalAddress(localIP) ? [] : [{ index, code: 'EADDRNOTAVAIL' }];
    });
  }

  indistinct(specs: readonly SessionSpec[]): number[] {
    if (this.capabilities.pktinfo) return [];
    const interfaces = new Map<string, string>();
    const isTaken = (path: Path): boolean => {
      const key = `${path.localIP} ${path.peerIP}`;
      const iface = interfaces.get(key) ?? path.iface;
      interfaces.set(key, iface);
      return iface !== path.iface || this.#core.hasElsewhere(path);
    };
    for (const spec of this.#notStarted.values()) isTaken(spec);
    return specs.flatMap((spec, index) => (isTaken(spec) ? [index] : []));
  }

  addSessions(specs: readonly SessionSpec[]): void {
    this.#assertOpen();
    this.#ownInterfaces.clear();
    const isIdle = this.#notStarted.size === 0;
    for (const spec of specs) this.#notStarted.set(spec.id, copyOf(spec));
    if (isIdle) this.#beginPortion();
  }

  /** The event loop has its turn between portions: sessions that live want to send and to be heard. */
  #beginPortion(): void {
    if (this.#ended) return;
    let count = 0;
    for (const id of this.#notStarted.keys()) {
      this.#begin(id);
      count += 1;
      if (count === PORTION) break;
    }
    this.#transport.fitSendBuffer(this.#core.sessionCount);
    this.#scheduleTurn();
    if (this.#notStarted.size > 0) setImmediate(() => this.#beginPortion());
  }

  /** Begins a session that waits for its turn; without effect for one that does not. */
  #begin(id: SessionId): void {
    const spec = this.#notStarted.get(id);
    if (spec === undefined) return;
    this.#notStarted.delete(id);
    const { iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult } = spec;
    this.#transport.open(localIP);
    this.#core.addSession(nowUs(), id, { iface, localIP, peerIP }, peerPort, { txMinUs, rxMinUs, detectMult }, this.#newDiscriminator());
  }

  updateSessions(specs: readonly SessionSpec[]): void {
    this.#assertOpen();
    const now = nowUs();
    for (const spec of specs) {
      const { id, txMinUs, rxMinUs, detectMult, peerPort } = spec;
      if (this.#notStarted.has(id)) this.#notStarted.set(id, copyOf(spec));
      this.#core.updateSession(now, id, { txMinUs, rxMinUs, detectMult }, peerPort);
    }
    this.#scheduleTurn();
  }

  removeSessions(ids: readonly SessionId[]): void {
    this.#assertOpen();
    for (const id of ids) {
      this.#notStarted.delete(id);
      const removed = this.#core.session(id);
      if (removed === undefined) continue;
      this.#discriminators.delete(removed.session.localDiscr);
      this.#core.removeSession(id);
    }
    this.#scheduleTurn();
    this.#transport.retain((localIP) => this.#isUsed(localIP));
  }

  setAdminDown(ids: readonly SessionId[], down: boolean): void {
    this.#assertOpen();
    const now = nowUs();
    for (const id of ids) {
      this.#begin(id);
      if (down) this.#core.adminDown(now, id);
      else this.#core.adminUp(now, id);
    }
    this.#scheduleTurn();
  }

  snapshots(wanted?: Iterable<SessionId>): EngineReading[] {
    this.#assertOpen();
    for (const id of wanted ?? [...this.#notStarted.keys()]) this.#begin(id);
    const ids = wanted ?? this.#core.sessionIds;
    return [...ids].flatMap((id) => {
      const known = this.#core.session(id);
      if (known === undefined) return [];
      return { id, ...readSession(known.session, known.detectScheduled) };
    });
  }

  stats(): EngineStats {
    this.#assertOpen();
    return this.#stats();
  }

  #stats(): EngineStats {
    return {
      endpoints: this.#counters.stats(),
      routes: [],
      queueLength: this.#core.queueLength,
      readErrors: this.#readErrors,
      socketDrops: this.#transport.dropped,
      sendBufferBytes: this.#transport.sendBufferBytes,
      sendBufferFull: this.#sendBufferFull,
      turns: this.#turns,
      worstTurnDelayUs: this.#core.worstTurnDelayUs,
      turnDelays: this.#core.turnDelays.buckets(),
      transmitDelays: this.#core.transmitDelays.buckets(),
    };
  }

  close({ adminDown }: { adminDown: boolean }): Promise<EngineStats> {
    this.#closing ??= this.#close(adminDown);
    return this.#closing;
  }

  ref(): void {
    this.#anchor.ref();
  }

  unref(): void {
    this.#anchor.unref();
  }

  async #close(adminDown: boolean): Promise<EngineStats> {
    this.#notStarted.clear();
    if (adminDown) await this.#announceAdminDown();
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#anchor);
    await this.#transport.close();
    return this.#stats();
  }

  async #announceAdminDown(): Promise<void> {
    const now = nowUs();
    let longestUs = 0;
    for (const id of [...this.#core.sessionIds]) {
      longestUs = Math.max(longestUs, this.#core.session(id)?.session.detectTimeUs ?? 0);
      this.#core.adminDown(now, id);
    }
    this.#scheduleTurn();
    await new Promise((resolve) => setTimeout(resolve, Math.min(longestUs, ADMIN_DOWN_MAX_US) / 1_000));
  }

  #transportListener(): TransportListener {
    return {
      datagram: (now, arrival, bytes, from, localIP, iface) => {
        this.#reads += 1;
        const path = this.#pathOf(localIP, from, iface);
        this.#core.handleDatagram(now, arrival, path, bytes);
        this.#counters.handled(path, (monotonicNow() * 1_000 - now) / 1_000_000);
        this.#reportDrops(now);
        this.#flush();
      },
      sent: (path) => this.#counters.sent(path),
      writeError: (path, error) => {
        this.#counters.writeError(path);
        this.#throttle.log('write', (skipped) => {
          const others = skipped === 0 ? '' : `; nor could ${skipped} other packets be sent`;
          this.#listener.warning(codeOf(error) ?? 'ERR_SOCKET', `cannot send to ${path.peerIP}: ${error.message}${others}`);
        });
      },
      heldBack: (path, size) => {
        this.#counters.dropped(path);
        this.#sendBufferFull += 1;
        this.#throttle.log('heldBack', (skipped) =>
          this.#listener.warning(
            'ERR_SEND_BUFFER_FULL',
            `${skipped + 1} packets of sessions that are Down were not sent, to leave the other half of the send buffer (${size} bytes) to sessions that are Up: ` +
              'packets wait for the link addresses of neighbours that do not answer, or for a device that does not send',
          ),
        );
      },
      readError: (error) => {
        this.#readErrors += 1;
        this.#warn('read', error, 'cannot read');
      },
      // What cannot be sent from there meanwhile is a failed write.
      notBound: (localIP, error) => this.#warn(localIP, error, `cannot use ${localIP}`),
      died: (error) => this.#listener.fatal(error),
      notClosed: (error) => {
        this.#listener.warning('ERR_UDP', `the transport (\`udp\`) could not be closed: ${messageOf(error)}`);
      },
    };
  }

  /** Once in five seconds for each kind. */
  #warn(kind: string, error: Error, what: string): void {
    this.#throttle.log(kind, () => this.#listener.warning(codeOf(error) ?? 'ERR_UDP', `${what}: ${messageOf(error)}`));
  }

  /** Where the transport cannot tell the interface, that of the session that began last between the addresses. */
  #pathOf(localIP: string, peerIP: string, iface: string): Path {
    if (iface !== '') return { iface, localIP, peerIP };
    return this.#core.pathBetween(localIP, peerIP) ?? { iface: this.#interfaceOf(localIP), localIP, peerIP };
  }

  #interfaceOf(localIP: string): string {
    const found = this.#ownInterfaces.get(localIP) ?? interfaceOf(localIP);
    this.#ownInterfaces.set(localIP, found);
    return found;
  }

  #reportDrops(now: number): void {
    for (const { reason, count } of this.#dropReporter.report(() => this.#counters.stats(), now)) {
      this.#listener.warning('ERR_PACKETS_DROPPED', `${count} received packets were dropped: ${reason}`);
    }
  }

  /** Tells once where the system grants less room than the sessions need. */
  #warnOfSmallBuffer(): void {
    if (this.#warnedOfSmallBuffer) return;
    const [granted, sessions] = [this.#transport.sendBufferBytes, this.#core.sessionCount];
    const needed = sendBufferFor(sessions);
    if (granted === 0 || granted >= needed) return;
    this.#warnedOfSmallBuffer = true;
    this.#listener.warning(
      'ERR_SEND_BUFFER_SMALL',
      `the system grants a send buffer of ${granted} bytes, and ${sessions} sessions need ${needed}: it takes a net.core.wmem_max of ${needed / 2}`,
    );
  }

  /** One turn: what is due, what is to be sent, what is to be told. A session is judged only after the sockets were empty. */
  #turn(readUntil: number): void {
    if (this.#ended) return;
    this.#turns += 1;
    this.#warnOfSmallBuffer();
    const now = nowUs();
    const planned = this.#core.deadline;
    if (planned !== undefined && planned < now) this.#core.noteTurnDelay(now, now - planned);
    this.#core.handleTimeout(now, readUntil);
    this.#flush();
    const deadline = this.#core.deadline;
    if (deadline !== undefined && deadline <= now && !this.#isDraining) this.#drain(now);
  }

  /**
   * Yields until a round of the event loop has read nothing, or whatever waited in the sockets has been handed in however
   * much more comes.
   */
  #drain(since: number, round = 0): void {
    this.#isDraining = true;
    const reads = this.#reads;
    setImmediate(() => {
      if (this.#reads !== reads && round < MOST_ROUNDS) {
        this.#drain(since, round + 1);
        return;
      }
      this.#isDraining = false;
      this.#turn(since);
    });
  }

  #flush(): void {
    for (const transmit of this.#core.takeTransmits()) this.#transport.send(transmit);
    const events = this.#core.takeEvents();
    if (events.length > 0) this.#listener.sessions(events.map(toRecord));
    this.#setTimer();
  }

  /** Runs a turn after the current call: nothing is delivered from inside of it. */
  #scheduleTurn(): void {
    setImmediate(() => this.#turn(0));
  }

  #setTimer(): void {
    const deadline = this.#core.deadline;
    if (deadline === this.#timerAt || this.#ended) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    if (deadline === undefined) return;
    const wait = Math.min(Math.max(Math.ceil((deadline - nowUs()) / 1_000), 0), LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => {
      this.#timerAt = undefined;
      this.#turn(0);
    }, wait).unref();
  }

  #isUsed(localIP: string): boolean {
    if (this.#core.usesAddress(localIP)) return true;
    for (const spec of this.#notStarted.values()) if (spec.localIP === localIP) return true;
    return false;
  }

  #newDiscriminator(): number {
    let discr = randomDiscriminator();
    while (this.#discriminators.has(discr)) discr = randomDiscriminator();
    this.#discriminators.add(discr);
    return discr;
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

/** Specifications are read in the call. */
function copyOf({ id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult }: SessionSpec): SessionSpec {
  return { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult };
}

function toRecord(event: CoreEvent): SessionRecord {
  const nothing = {
    id: event.id,
    from: 'down',
    to: 'down',
    reason: 'none',
    cause: 'handle_rx',
    atUs: 0,
    count: 0,
    lastDown: undefined,
    localStallUs: 0,
    peerPassive: undefined,
    convStartUs: undefined,
    lastRxUs: undefined,
    longRoundTripUs: undefined,
  } as const;
  if (event.kind === 'peer_passive') return { ...nothing, peerPassive: event.passive };
  if (event.kind === 'long_round_trip') return { ...nothing, longRoundTripUs: event.atLeastUs };
  return { ...nothing, ...transitionRecord(event) };
}

function transitionRecord(event: CoreTransition): Partial<SessionRecord> {
  const { from, to, reason, cause, at, localStallUs, peerPassive, convStart, lastRx } = event;
  const wentDown = to === 'down' && (from === 'up' || from === 'init');
  const lastDown = wentDown ? { atUs: at, reason, localStallUs } : undefined;
  return { from, to, reason, cause, atUs: at, count: 1, lastDown, localStallUs, peerPassive, convStartUs: convStart, lastRxUs: lastRx };
}

function nowUs(): number {
  return Math.round(monotonicNow() * 1_000);
}
