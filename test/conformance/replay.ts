/** Replays a scenario of timed inputs in the TypeScript core, as `crate/tests/support/replay.rs` does in the Rust core. */
import { type CoreCounters, EngineCore } from '../../ts/engine/js/engine-core.js';
import { BFD } from '../../ts/protocol/bfd/bfd.js';
import { diagnosticFromWire } from '../../ts/protocol/bfd/diagnostic.js';
import type { AuthType, AuthVariant, BfdSessionOptions } from '../../ts/protocol/bfd/options.js';
import { BfdPacket, type BfdPacketFields } from '../../ts/protocol/bfd/packet.js';
import { BfdSpecifics } from '../../ts/protocol/bfd/specifics.js';
import { RFC5880 } from '../../ts/protocol/bfd/rules.js';
import type { VersionBytes } from '../../ts/protocol/client-version.js';
import { LIVENESS } from '../../ts/protocol/liveness.js';
import { type Random, Xorshift32 } from '../../ts/protocol/jitter.js';
import { ControlPacket, type ControlPacketFields } from '../../ts/protocol/packet.js';
import type { Header } from '../../ts/protocol/protocol.js';
import { REFERENCE, ROBUST } from '../../ts/protocol/rules.js';
import type { SessionTimers } from '../../ts/protocol/session-core.js';

/** One key of a scenario, with its secret as text. */
export interface ScenarioKey {
  readonly id: number;
  readonly secret: string;
  readonly variant?: AuthVariant;
}

/** The options of a BFD session. */
export interface ScenarioOptions {
  readonly passive?: boolean;
  readonly auth?: { readonly type: AuthType; readonly keys: readonly ScenarioKey[] } | undefined;
}

/** A packet of a BFD peer. `sign` adds a section of a key, with a sequence number. */
export type ScenarioBfdPacket = Omit<BfdPacketFields, 'diagnostic' | 'authentication' | 'independent'> & {
  /** The number of a diagnostic. */
  readonly diag?: number;
  readonly sign?: { readonly type: AuthType; readonly key: ScenarioKey; readonly sequence: number };
};

/** One input; what is observed after it. */
export interface Step {
  readonly atUs: number;
  readonly do: 'start' | 'receive' | 'run' | 'adminDown' | 'adminUp' | 'socketDrops' | 'update' | 'options';
  readonly lateUs?: number;
  /** With `update`: the other timers. */
  readonly timers?: SessionTimers;
  /** With `options`: the other options of a BFD session. */
  readonly options?: ScenarioOptions;
  readonly packet?: Omit<ControlPacketFields, 'version'>;
  readonly bfd?: ScenarioBfdPacket;
  readonly bytes?: string;
  /** The source of a packet of a BFD peer, and its destination. Default: those of the session. */
  readonly from?: string;
  readonly to?: string;
  readonly arrivalUs?: number;
  readonly expect?: unknown;
}

/** Timed inputs for one session. `crate/tests/support/replay.rs` has the same shapes. */
export interface Scenario {
  readonly name: string;
  /** Default: liveness. */
  readonly protocol?: 'liveness' | 'bfd';
  readonly rules: 'reference' | 'robust' | 'rfc5880';
  readonly seed: number;
  readonly limits: {
    readonly minTxFloorUs: number;
    readonly maxTxCeilUs: number;
    readonly backoffMaxUs: number;
    readonly requireDiscriminator?: boolean;
  };
  readonly identity?: { readonly passive: boolean; readonly version: VersionBytes };
  readonly session: {
    readonly localDiscr: number;
    readonly txMinUs: number;
    readonly rxMinUs: number;
    readonly detectMult: number;
    readonly multihop?: boolean;
    readonly options?: ScenarioOptions;
  };
  readonly steps: readonly Step[];
}

const ID = 1;
const LOCAL_IP = '10.0.0.1';
const PEER_IP = '10.0.0.2';
const RULES = { reference: REFERENCE, robust: ROBUST, rfc5880: RFC5880 };

/** Counts what is dropped, by reason. */
class Drops {
  readonly #counts = new Map<string, number>();

  readonly counters: CoreCounters = {
    ...(Object.fromEntries(
      ['received', 'extended', 'queued', 'transition', 'diagnosed', 'added', 'removed'].map((name) => [name, () => undefined]),
    ) as unknown as CoreCounters),
    invalid: (_, reason) => this.#count(reason),
    unknownPeer: () => this.#count('unknown_peer'),
  };

  take(): Record<string, number> {
    const counts = Object.fromEntries(this.#counts);
    this.#counts.clear();
    return counts;
  }

  #count(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }
}

/** Replays a scenario in the TypeScript core. */
export class Replay {
  readonly #scenario: Scenario;
  readonly #core: EngineCore<Header>;
  readonly #drops = new Drops();
  readonly #iface: string;
  #sent: unknown[] = [];
  #events: unknown[] = [];

  /** With these counters in place of those of what is dropped, `observed` tells of no drops. */
  constructor(scenario: Scenario, counters?: CoreCounters) {
    this.#scenario = scenario;
    this.#iface = scenario.session.multihop === true ? '' : 'eth0';
    const random = new Xorshift32(scenario.seed);
    this.#core = coreOf(scenario, () => random.next(), counters ?? this.#drops.counters);
  }

  apply(step: Step): void {
    const now = step.atUs;
    this.#runBefore(now - (step.lateUs ?? 0));
    if (step.lateUs !== undefined) this.#core.noteTurnDelay(now, now - (this.#core.deadline ?? now));
    this.#input(step, now);
    this.#turn(now);
  }

  observed(): unknown {
    const known = this.#core.session(ID);
    if (known === undefined) throw new Error('the session was not started');
    const { session, detectScheduled } = known;
    const observed = {
      sent: this.#sent,
      events: this.#events,
      state: session.state,
      reason: session.lastDownReason,
      peerDiscr: session.peer.discr,
      ...this.#specific(),
      txIntervalUs: session.txIntervalUs,
      detectTimeUs: session.detectTimeUs,
      detectDeadlineUs: session.detectDeadline ?? null,
      detectScheduledUs: detectScheduled ?? null,
      nextTxUs: session.nextTx ?? null,
      lastRxUs: session.lastRx ?? null,
    };
    this.#sent = [];
    this.#events = [];
    return observed;
  }

  /** What only the sessions of one protocol have. */
  #specific(): object {
    const session = this.#core.session(ID)?.session;
    const specifics = session?.specifics;
    if (!(specifics instanceof BfdSpecifics)) return { peerPassive: session?.peer.passive, peerVersion: session?.peer.version };
    const { localDiag, remoteDiag, polling, authKeyId, sending } = { ...diagnosticsOf(specifics), sending: session?.sending };
    return { localDiag, remoteDiag, polling, keyId: authKeyId ?? null, sending, drops: this.#drops.take() };
  }

  #input(step: Step, now: number): void {
    const { localDiscr, txMinUs, rxMinUs, detectMult, options } = this.#scenario.session;
    const path = { iface: this.#iface, localIP: step.to ?? LOCAL_IP, peerIP: step.from ?? PEER_IP };
    switch (step.do) {
      case 'start':
        this.#core.addSession(now, ID, path, 44880, { txMinUs, rxMinUs, detectMult }, localDiscr, optionsOf(options));
        break;
      case 'receive':
        this.#core.handleDatagram(now, step.arrivalUs ?? now, path, bytesOf(step));
        break;
      case 'adminDown':
        this.#core.adminDown(now, ID);
        break;
      case 'adminUp':
        this.#core.adminUp(now, ID);
        break;
      case 'socketDrops':
        this.#core.noteSocketDrops(now);
        break;
      case 'update':
        if (step.timers === undefined) throw new Error('a step that updates has timers');
        this.#core.updateSession(now, ID, step.timers, 44880);
        break;
      case 'options':
        this.#core.updateOptions(now, ID, optionsOf(step.options));
        break;
      case 'run':
        break;
    }
  }

  #runBefore(until: number): void {
    for (let due = this.#core.deadline; due !== undefined && due < until; due = this.#core.deadline) this.#turn(due);
  }

  #turn(now: number): void {
    this.#core.handleTimeout(now, now);
    for (const { bytes } of this.#core.takeTransmits()) this.#sent.push([now, Buffer.from(bytes).toString('hex')]);
    for (const event of this.#core.takeEvents()) {
      if (event.kind === 'peer_passive') this.#events.push({ peerPassive: event.passive });
      else if (event.kind === 'long_round_trip') this.#events.push({ longRoundTripUs: event.atLeastUs });
      else {
        const { at: atUs, from, to, reason, cause, localStallUs, convStart } = event;
        this.#events.push({ atUs, from, to, reason, cause, localStallUs, convStartUs: convStart ?? null });
      }
    }
  }
}

function coreOf(scenario: Scenario, random: Random, counters: CoreCounters): EngineCore<Header> {
  const rules = RULES[scenario.rules];
  const limits = { requireDiscriminator: false, ...scenario.limits };
  if (scenario.protocol === 'bfd') return new EngineCore({ protocol: BFD, rules, ...limits, identity: undefined }, 1, random, counters);
  const identity = scenario.identity && { passive: scenario.identity.passive, clientVersion: scenario.identity.version };
  return new EngineCore({ protocol: LIVENESS, rules, ...limits, identity }, 1, random, counters);
}

function diagnosticsOf({ localDiag, remoteDiag, polling, authKeyId }: BfdSpecifics) {
  return { localDiag, remoteDiag, polling, authKeyId };
}

function optionsOf(given: ScenarioOptions | undefined): BfdSessionOptions | undefined {
  if (given === undefined) return undefined;
  const { passive = false, auth } = given;
  const keys = auth?.keys.map(({ id, secret, variant = 'rfc' }) => ({ id, secret: Buffer.from(secret), variant }));
  return { passive, auth: auth && keys && { type: auth.type, keys } };
}

function bytesOf({ packet, bfd, bytes }: Step): Uint8Array {
  if (packet !== undefined) return new ControlPacket({ version: 1, ...packet }).marshal();
  return bfd === undefined ? Buffer.from(bytes ?? '', 'hex') : signedBytes(bfd);
}

function signedBytes({ diag = 0, sign, ...fields }: ScenarioBfdPacket): Uint8Array {
  const packet = new BfdPacket({ ...fields, diagnostic: diagnosticFromWire(diag) });
  if (sign === undefined) return packet.marshal();
  const options = optionsOf({ auth: { type: sign.type, keys: [sign.key] } });
  // The first number that is sent is the next one.
  return new BfdSpecifics(options, sign.sequence - 1).write(packet, 0);
}
