/** An engine without a network: it remembers what it was told, and a test says what becomes of sessions. */
import type {
  Engine,
  EngineListener,
  EngineOptions,
  EngineReading,
  PathFault,
  RouteArming,
  SessionId,
  SessionPath,
  SessionRecord,
  SessionSpec,
} from '../../ts/engine/engine.js';
import type { ManagerConfig } from '../../ts/index.js';
import { MemoryRoutes } from '../../ts/index.js';
import { type Manager, startManager } from '../../ts/manager/manager.js';
import type { DownReason, State } from '../../ts/protocol/state.js';

/** Of an endpoint that dropped no packet. */
export const NOTHING_INVALID = {
  short: 0,
  bad_version: 0,
  bad_len: 0,
  bad_detect_mult: 0,
  bad_discr: 0,
  bad_interval: 0,
  foreign_discr: 0,
  bad_ttl: 0,
  truncated: 0,
  multipoint: 0,
  poll_and_final: 0,
  zero_peer_discr: 0,
  unexpected_auth: 0,
  missing_auth: 0,
  bad_auth: 0,
};

export class FakeEngine implements Engine {
  readonly kind: 'native' | 'js' = 'native';
  readonly capabilities = {
    pktinfo: true,
    interfaceBinding: true,
    arrivalTime: true,
    armedRoutes: true,
    independentOfEventLoop: true,
    realtime: true,
    nextHopObjects: true,
  };
  readonly arming: RouteArming | undefined = undefined;
  readonly resumed: number = 0;
  readonly sessions = new Map<SessionId, SessionSpec & { state: State; reason: DownReason; adminDown: boolean }>();
  readonly calls: string[] = [];
  readonly faults: { iface?: string; localIP?: string; code: PathFault['code'] }[] = [];
  /** What the readings of all sessions have beside their states. */
  reading: Partial<EngineReading> = {};
  /** What opening the sockets of multihop sessions throws. */
  multihopError: Error | undefined;
  closedWith: { adminDown: boolean; forget?: boolean | undefined } | undefined;

  constructor(
    readonly options: EngineOptions,
    readonly listener: EngineListener,
  ) {}

  localAddr() {
    return this.closedWith === undefined ? { address: this.options.bindIPs[0] ?? '', port: this.options.port, family: 'IPv4' } : undefined;
  }

  checkPaths(paths: readonly SessionPath[]): PathFault[] {
    return paths.flatMap(({ iface, localIP }, index) => {
      const fault = this.faults.find((it) => it.iface === iface || it.localIP === localIP);
      return fault === undefined ? [] : [{ index, code: fault.code }];
    });
  }

  openMultihop(): void {
    this.calls.push('open multihop');
    if (this.multihopError !== undefined) throw this.multihopError;
  }

  addSessions(specs: readonly SessionSpec[]): void {
    this.calls.push(`add ${specs.length}`);
    for (const spec of specs) this.sessions.set(spec.id, { ...copyOf(spec), state: 'down', reason: 'none', adminDown: false });
  }

  updateSessions(specs: readonly SessionSpec[]): void {
    this.calls.push(`update ${specs.length}`);
    for (const spec of specs) Object.assign(this.sessions.get(spec.id) ?? {}, copyOf(spec));
  }

  removeSessions(ids: readonly SessionId[]): void {
    this.calls.push(`remove ${ids.length}`);
    for (const id of ids) this.sessions.delete(id);
  }

  setAdminDown(ids: readonly SessionId[], down: boolean): void {
    for (const id of ids) Object.assign(this.sessions.get(id) ?? {}, { adminDown: down });
  }

  snapshots(ids?: readonly SessionId[]): EngineReading[] {
    return [...this.sessions.values()]
      .filter((session) => ids === undefined || ids.includes(session.id))
      .map(({ id, state }) => ({
        id,
        state,
        localDiscr: id,
        peerDiscr: 0,
        lastDownReason: 'none',
        convUpStartUs: undefined,
        convDownStartUs: undefined,
        upSinceUs: undefined,
        downSinceUs: undefined,
        detectDeadlineUs: undefined,
        nextDetectScheduledUs: undefined,
        lastUpdatedUs: undefined,
        detectTimeUs: 150_000,
        txIntervalUs: 50_000,
        peerPassive: false,
        peerVersion: undefined,
        remoteDetectMult: undefined,
        remoteTxMinUs: undefined,
        remoteRxMinUs: undefined,
        localDiag: undefined,
        remoteDiag: undefined,
        polling: undefined,
        authKeyId: undefined,
        flaps: 0,
        worstGapMs: undefined,
        ...this.reading,
      }));
  }

  stats() {
    return {
      endpoints: [],
      routes: [],
      queueLength: 0,
      readErrors: 0,
      socketDrops: 0,
      repeatsFiltered: 0,
      sendBufferBytes: 0,
      sendBufferFull: 0,
      turns: 0,
      worstTurnDelayUs: 0,
      turnDelays: [],
      transmitDelays: [],
    };
  }

  ping(): Promise<void> {
    return Promise.resolve();
  }

  close(options: { adminDown: boolean }): Promise<undefined> {
    this.closedWith ??= options;
    return Promise.resolve(undefined);
  }

  ref(): void {
    this.calls.push('ref');
  }

  unref(): void {
    this.calls.push('unref');
  }

  /** The session of a peer changes its state. */
  become(peerIP: string, to: State, changes: Partial<SessionRecord> = {}): void {
    const session = [...this.sessions.values()].find((it) => it.peerIP === peerIP);
    if (session === undefined) throw new Error(`no session with ${peerIP}`);
    this.becomeById(session.id, to, changes);
  }

  becomeById(id: SessionId, to: State, changes: Partial<SessionRecord> = {}): void {
    const session = this.sessions.get(id);
    if (session === undefined) throw new Error(`no session ${id}`);
    this.listener.sessions([this.#changed(session, to, changes)]);
  }

  /** All sessions change their state, and that is told at once. */
  becomeAll(to: State): void {
    this.listener.sessions([...this.sessions.values()].map((session) => this.#changed(session, to, {})));
  }

  #changed(session: { id: SessionId; state: State; reason: DownReason }, to: State, changes: Partial<SessionRecord>): SessionRecord {
    const record: SessionRecord = {
      id: session.id,
      from: session.state,
      to,
      reason: to === 'down' ? 'timeout' : 'none',
      cause: to === 'down' ? 'detect_timeout' : 'handle_rx',
      atUs: 1,
      count: 1,
      lastDown: undefined,
      localStallUs: 0,
      peerPassive: false,
      everUp: true,
      convStartUs: undefined,
      lastRxUs: undefined,
      longRoundTripUs: undefined,
      ...changes,
    };
    session.state = to;
    session.reason = record.reason;
    return record;
  }
}

/** Specifications are to be read in the call. */
function copyOf(spec: SessionSpec): SessionSpec {
  const { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult, multihop, minTtl, bfd } = spec;
  return { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult, multihop, minTtl, bfd };
}

export const CONFIG = { bindIP: '10.0.0.1', txMin: 50, rxMin: 50, detectMult: 3 };

/** A manager over a fake engine. */
export async function startFake(
  config: Partial<ManagerConfig> = {},
): Promise<{ manager: Manager; engine: FakeEngine; routes: MemoryRoutes }> {
  const routes = new MemoryRoutes();
  let engine: FakeEngine | undefined;
  const manager = await startManager({ ...CONFIG, netlinker: routes, ...config }, undefined, (_, options, listener) => {
    engine = new FakeEngine(options, listener);
    return Promise.resolve(engine);
  });
  if (engine === undefined) throw new Error('no engine was started');
  return { manager, engine, routes };
}

/** Lets everything that is due now, and what follows from it, happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
