/**
 * The JavaScript engine: the core on timers of the event loop, over `node:dgram` or a transport of the user's. It serves
 * platforms without an addon, and is the baseline of the benchmarks.
 */
import type { AddressInfo } from 'node:net';

import { LONGEST_WAIT_MS, toMicros } from '../../base/clock.js';
import { type Environment, SYSTEM, type Timer } from '../../base/environment.js';
import { closedError } from '../../base/errors.js';
import { BFD } from '../../protocol/bfd/bfd.js';
import { RFC5880 } from '../../protocol/bfd/rules.js';
import { NO_VERSION } from '../../protocol/client-version.js';
import { type Random, Xorshift32 } from '../../protocol/jitter.js';
import { LIVENESS } from '../../protocol/liveness.js';
import type { Header } from '../../protocol/protocol.js';
import { ROBUST } from '../../protocol/rules.js';
import { readSession } from '../../protocol/session-status.js';
import { MOST_ROUNDS } from '../../protocol/timeline.js';
import { type Host, THIS_HOST } from '../../base/host-interfaces.js';
import type { UDPService } from '../../protocol/udp-service.js';
import { DgramTransport } from './dgram-transport.js';
import { EngineCore, type Path } from './engine-core.js';
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
  SessionSpec,
} from '../engine.js';
import { EngineWarnings } from './engine-warnings.js';
import { ServiceTransport } from './service-transport.js';
import { toRecord } from './session-records.js';
import { checkTtls, copyOf } from './session-specs.js';
import type { Transport, TransportListener } from './transport.js';

/** The longest AdminDown announcement when the engine closes. */
const ADMIN_DOWN_MAX_US = 3_000_000;

/** How many sessions are started in one turn of the event loop: that takes about a millisecond. */
const START_BATCH = 50;

/** What an engine runs on. */
export interface Platform {
  readonly environment: Environment;
  readonly host: Host;
  /** Whether the transport knows the interface of a packet, and its arrival. */
  readonly hasPacketInfo: boolean;
  /** Opens the transport that the engine sends and receives with. */
  readonly open: (listener: TransportListener) => Transport | Promise<Transport>;
}

const NO_REALTIME = 'realtime: the JavaScript engine has no thread of its own, so that none of it has an effect';
const NO_FILTER = 'filterRepeats: the JavaScript engine has no filter, and every packet is handed over';

export class JsEngine implements Engine {
  readonly kind = 'js';
  readonly capabilities: Capabilities;
  readonly arming = undefined;
  readonly resumed = 0;
  readonly #core: EngineCore<Header>;
  readonly #counters = new EndpointCounters();
  readonly #listener: EngineListener;
  readonly #warnings: EngineWarnings;
  readonly #discriminators = new Set<number>();
  /** Added sessions that wait to be started in a batch. */
  readonly #notStarted = new Map<SessionId, SessionSpec>();
  /** The interfaces of local addresses. Listing the interfaces for each packet of an unknown peer would cost too much. */
  readonly #ownInterfaces = new Map<string, string>();
  /** Keeps the process alive while the engine is open and referenced. */
  readonly #anchor: NodeJS.Timeout;
  readonly #environment: Environment;
  readonly #host: Host;
  #transport!: Transport;
  #timer: Timer | undefined;
  #timerAt: number | undefined;
  #reads = 0;
  #readErrors = 0;
  #turns = 0;
  #sendBufferFull = 0;
  #isDraining = false;
  #closing: Promise<EngineStats> | undefined;
  #ended = false;

  private constructor(options: EngineOptions, listener: EngineListener, { environment, host, hasPacketInfo }: Platform) {
    const random = new Xorshift32(environment.randomWord());
    this.#core = coreOf(options, () => random.next(), this.#counters);
    this.#environment = environment;
    this.#host = host;
    this.#listener = listener;
    this.#warnings = new EngineWarnings(listener);
    this.#anchor = setInterval(() => undefined, LONGEST_WAIT_MS);
    this.capabilities = Object.freeze({
      pktinfo: hasPacketInfo,
      interfaceBinding: hasPacketInfo,
      arrivalTime: hasPacketInfo,
      armedRoutes: false,
      independentOfEventLoop: false,
      realtime: false,
      nextHopObjects: false,
    });
  }

  /** Starts an engine on a platform. @throws what opening the transport throws */
  static async startOn(platform: Platform, options: EngineOptions, listener: EngineListener): Promise<JsEngine> {
    const engine = new JsEngine(options, listener, platform);
    try {
      engine.#transport = await platform.open(engine.#transportListener());
    } catch (error) {
      clearInterval(engine.#anchor);
      throw error;
    }
    return engine;
  }

  /**
   * Starts an engine on this host.
   *
   * @param reason why this engine was chosen, if the user did not choose it
   * @throws LivenessError the system's error if the address cannot be bound
   */
  static async start(options: EngineOptions, listener: EngineListener, udp?: UDPService, reason?: string): Promise<JsEngine> {
    const platform: Platform = {
      environment: SYSTEM,
      host: THIS_HOST,
      hasPacketInfo: udp !== undefined,
      open: (receives) =>
        udp === undefined
          ? DgramTransport.start(options.protocol === 'bfd' ? BFD : LIVENESS, options, receives)
          : new ServiceTransport(udp, receives),
    };
    const engine = await JsEngine.startOn(platform, options, listener);
    const lacking = Object.entries(engine.capabilities).flatMap(([name, has]) => (has === true ? [] : [name]));
    const limits = `The JavaScript engine serves. It lacks ${lacking.join(', ')}: sessions depend on the event loop.`;
    if (reason === undefined) listener.warning('ERR_ENGINE_LIMITED', limits);
    else listener.warning('ERR_ENGINE_UNAVAILABLE', `${limits} ${reason}`);
    if (options.realtime !== undefined) listener.warning('ERR_REALTIME_REFUSED', NO_REALTIME);
    if (options.filterRepeats) listener.warning('ERR_FILTER_REFUSED', NO_FILTER);
    return engine;
  }

  localAddr(): AddressInfo | undefined {
    return this.#ended ? undefined : this.#transport.localAddr();
  }

  checkPaths(paths: readonly SessionPath[]): PathFault[] {
    this.#assertOpen();
    return paths.flatMap(({ iface, localIP }, index): PathFault[] => {
      if (!this.#host.hasInterface(iface)) return [{ index, code: 'ERR_NO_SUCH_INTERFACE' }];
      return this.#host.isLocalAddress(localIP) ? [] : [{ index, code: 'EADDRNOTAVAIL' }];
    });
  }

  openMultihop(): void {
    this.#assertOpen();
    this.#transport.openMultihop();
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
    // Packets of multihop sessions come to another port.
    for (const spec of this.#notStarted.values()) if (spec.multihop !== true) isTaken(spec);
    return specs.flatMap((spec, index) => (spec.multihop !== true && isTaken(spec) ? [index] : []));
  }

  /** @throws LivenessError `ERR_ENGINE_UNAVAILABLE` if a session has a least TTL, which Node cannot check */
  addSessions(specs: readonly SessionSpec[]): void {
    this.#assertOpen();
    checkTtls(specs);
    this.#ownInterfaces.clear();
    const isIdle = this.#notStarted.size === 0;
    for (const spec of specs) this.#notStarted.set(spec.id, copyOf(spec));
    if (isIdle) this.#startBatch();
  }

  /** Yields to the event loop between batches, for the sessions that run. */
  #startBatch(): void {
    if (this.#ended) return;
    let count = 0;
    for (const id of this.#notStarted.keys()) {
      this.#start(id);
      count += 1;
      if (count === START_BATCH) break;
    }
    this.#transport.fitSendBuffer(this.#core.sessionCount);
    this.#scheduleTurn();
    if (this.#notStarted.size > 0) this.#environment.soon(() => this.#startBatch());
  }

  /** Starts a session that waits to be started. */
  #start(id: SessionId): void {
    const spec = this.#notStarted.get(id);
    if (spec === undefined) return;
    this.#notStarted.delete(id);
    const { localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult } = spec;
    const path = { iface: spec.multihop === true ? '' : spec.iface, localIP, peerIP };
    this.#transport.open(id, path);
    const timers = { txMinUs, rxMinUs, detectMult };
    this.#core.addSession(this.#nowUs(), id, path, peerPort, timers, this.#newDiscriminator(), spec.bfd);
  }

  updateSessions(specs: readonly SessionSpec[]): void {
    this.#assertOpen();
    checkTtls(specs);
    const now = this.#nowUs();
    for (const spec of specs) {
      const { id, txMinUs, rxMinUs, detectMult, peerPort, bfd } = spec;
      if (this.#notStarted.has(id)) this.#notStarted.set(id, copyOf(spec));
      this.#core.updateSession(now, id, { txMinUs, rxMinUs, detectMult }, peerPort);
      this.#core.updateOptions(now, id, bfd);
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
      this.#transport.end(id);
    }
    this.#scheduleTurn();
    this.#transport.retain((localIP) => this.#isUsed(localIP));
  }

  setAdminDown(ids: readonly SessionId[], down: boolean): void {
    this.#assertOpen();
    const now = this.#nowUs();
    for (const id of ids) {
      this.#start(id);
      if (down) this.#core.adminDown(now, id);
      else this.#core.adminUp(now, id);
    }
    this.#scheduleTurn();
  }

  snapshots(wanted?: Iterable<SessionId>): EngineReading[] {
    this.#assertOpen();
    for (const id of wanted ?? [...this.#notStarted.keys()]) this.#start(id);
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

  /** Resolves in a later turn of the event loop, in which the engine runs. */
  async ping(): Promise<void> {
    this.#assertOpen();
    await new Promise<void>((resolve) => this.#environment.soon(resolve));
  }

  #stats(): EngineStats {
    return {
      endpoints: this.#counters.stats(),
      routes: [],
      queueLength: this.#core.queueLength,
      readErrors: this.#readErrors,
      socketDrops: this.#transport.dropped,
      repeatsFiltered: 0,
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
    this.#timer?.cancel();
    clearInterval(this.#anchor);
    await this.#transport.close();
    return this.#stats();
  }

  async #announceAdminDown(): Promise<void> {
    const now = this.#nowUs();
    let longestUs = 0;
    for (const id of [...this.#core.sessionIds]) {
      longestUs = Math.max(longestUs, this.#core.session(id)?.session.detectTimeUs ?? 0);
      this.#core.adminDown(now, id);
    }
    this.#scheduleTurn();
    await new Promise<void>((resolve) => this.#environment.after(Math.min(longestUs, ADMIN_DOWN_MAX_US) / 1_000, resolve, { ref: true }));
  }

  #transportListener(): TransportListener {
    return {
      datagram: (now, arrival, bytes, from, localIP, iface) => {
        this.#reads += 1;
        const path = this.#pathOf(localIP, from, iface);
        // After a stop, packets are read before the timers that are overdue: what peers say of the stop may be among them.
        const planned = this.#core.deadline;
        if (planned !== undefined && planned < now) this.#core.noteReceiveDelay(now, now - planned);
        this.#core.handleDatagram(now, arrival, path, bytes);
        this.#counters.handled(path, (this.#environment.now() * 1_000 - now) / 1_000_000);
        this.#warnings.drops(() => this.#counters.stats(), now);
        this.#flush();
      },
      sent: (path) => this.#counters.sent(path),
      writeError: (path, error) => {
        this.#counters.writeError(path);
        this.#warnings.writeError(path, error);
      },
      heldBack: (path, size) => {
        this.#counters.dropped(path);
        this.#sendBufferFull += 1;
        this.#warnings.heldBack(size);
      },
      readError: (error) => {
        this.#readErrors += 1;
        this.#warnings.readError(error);
      },
      notBound: (localIP, error) => this.#warnings.notBound(localIP, error),
      died: (error) => this.#listener.fatal(error),
      notClosed: (error) => this.#warnings.notClosed(error),
    };
  }

  /** If the transport does not know the interface, takes that of the latest session between the addresses. */
  #pathOf(localIP: string, peerIP: string, iface: string | undefined): Path {
    if (iface !== undefined) return { iface, localIP, peerIP };
    return this.#core.pathBetween(localIP, peerIP) ?? { iface: this.#interfaceOf(localIP), localIP, peerIP };
  }

  #interfaceOf(localIP: string): string {
    const found = this.#ownInterfaces.get(localIP) ?? this.#host.interfaceOf(localIP);
    this.#ownInterfaces.set(localIP, found);
    return found;
  }

  /** One turn: runs what is due, sends, and delivers. Detection is checked only after the sockets were found empty. */
  #turn(readUntil: number): void {
    if (this.#ended) return;
    this.#turns += 1;
    this.#warnings.sendBuffer(this.#transport.sendBufferBytes, this.#core.sessionCount);
    const now = this.#nowUs();
    const planned = this.#core.deadline;
    if (planned !== undefined && planned < now) this.#core.noteTurnDelay(now, now - planned);
    this.#core.handleTimeout(now, readUntil);
    this.#flush();
    const deadline = this.#core.deadline;
    if (deadline !== undefined && deadline <= now && !this.#isDraining) this.#drain(now);
  }

  /**
   * Yields until a round of the event loop has read nothing, or for as many rounds as it takes to read everything that
   * arrived before.
   */
  #drain(since: number, round = 0): void {
    this.#isDraining = true;
    const reads = this.#reads;
    this.#environment.soon(() => {
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

  /** Runs a turn after the present call: an engine never delivers from inside a call. */
  #scheduleTurn(): void {
    this.#environment.soon(() => this.#turn(0));
  }

  #setTimer(): void {
    const deadline = this.#core.deadline;
    if (deadline === this.#timerAt || this.#ended) return;
    this.#timer?.cancel();
    this.#timerAt = deadline;
    if (deadline === undefined) return;
    const wait = Math.min(Math.max(Math.ceil((deadline - this.#nowUs()) / 1_000), 0), LONGEST_WAIT_MS);
    this.#timer = this.#environment.after(wait, () => {
      this.#timerAt = undefined;
      this.#turn(0);
    });
  }

  #isUsed(localIP: string): boolean {
    if (this.#core.usesAddress(localIP)) return true;
    for (const spec of this.#notStarted.values()) if (spec.localIP === localIP) return true;
    return false;
  }

  #newDiscriminator(): number {
    let discr = 0;
    while (discr === 0 || this.#discriminators.has(discr)) discr = this.#environment.randomWord();
    this.#discriminators.add(discr);
    return discr;
  }

  #nowUs(): number {
    return toMicros(this.#environment.now());
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

/** The core of the protocol that all sessions of the engine speak. */
function coreOf(options: EngineOptions, random: Random, counters: EndpointCounters): EngineCore<Header> {
  const { minTxFloorUs, maxTxCeilUs, backoffMaxUs, requireDiscriminator, clientVersion, passive, maxSessions } = options;
  const limits = { minTxFloorUs, maxTxCeilUs, backoffMaxUs };
  if (options.protocol === 'bfd') {
    // RFC 5880 §6.8.6 accepts a Down that names nobody in every state.
    const policy = { protocol: BFD, rules: RFC5880, ...limits, requireDiscriminator: false, identity: undefined };
    return new EngineCore(policy, maxSessions, random, counters);
  }
  const identity = passive || clientVersion !== undefined ? { passive, clientVersion: clientVersion ?? NO_VERSION } : undefined;
  return new EngineCore({ protocol: LIVENESS, rules: ROBUST, ...limits, requireDiscriminator, identity }, maxSessions, random, counters);
}
