/** Replays a scenario of timed inputs in the TypeScript core, as `crate/tests/support/replay.rs` does in the Rust core. */
import { type CoreCounters, EngineCore } from '../../ts/engine/js/engine-core.js';
import type { VersionBytes } from '../../ts/protocol/client-version.js';
import { LIVENESS } from '../../ts/protocol/liveness.js';
import { Xorshift32 } from '../../ts/protocol/jitter.js';
import { ControlPacket, type ControlPacketFields } from '../../ts/protocol/packet.js';
import { REFERENCE, ROBUST } from '../../ts/protocol/rules.js';
import type { SessionTimers } from '../../ts/protocol/session-core.js';

/** One input; what is observed after it. */
export interface Step {
  readonly atUs: number;
  readonly do: 'start' | 'receive' | 'run' | 'adminDown' | 'adminUp' | 'socketDrops' | 'update';
  readonly lateUs?: number;
  /** With `update`: the other timers. */
  readonly timers?: SessionTimers;
  readonly packet?: Omit<ControlPacketFields, 'version'>;
  readonly bytes?: string;
  readonly arrivalUs?: number;
  readonly expect?: unknown;
}

/** Timed inputs for one session. `crate/tests/support/replay.rs` has the same shapes. */
export interface Scenario {
  readonly name: string;
  readonly rules: 'reference' | 'robust';
  readonly seed: number;
  readonly limits: {
    readonly minTxFloorUs: number;
    readonly maxTxCeilUs: number;
    readonly backoffMaxUs: number;
    readonly requireDiscriminator?: boolean;
  };
  readonly identity?: { readonly passive: boolean; readonly version: VersionBytes };
  readonly session: { readonly localDiscr: number; readonly txMinUs: number; readonly rxMinUs: number; readonly detectMult: number };
  readonly steps: readonly Step[];
}

const ID = 1;
const PATH = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' };
const NOT_COUNTED: CoreCounters = Object.fromEntries(
  ['received', 'invalid', 'unknownPeer', 'extended', 'queued', 'transition', 'added', 'removed'].map((name) => [name, () => undefined]),
) as unknown as CoreCounters;

/** Replays a scenario in the TypeScript core. */
export class Replay {
  readonly #scenario: Scenario;
  readonly #core: EngineCore;
  #sent: unknown[] = [];
  #events: unknown[] = [];

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    const random = new Xorshift32(scenario.seed);
    const rules = scenario.rules === 'robust' ? ROBUST : REFERENCE;
    this.#core = new EngineCore(
      { protocol: LIVENESS, rules, requireDiscriminator: false, ...scenario.limits, identity: scenario.identity },
      1,
      () => random.next(),
      NOT_COUNTED,
    );
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
      peerPassive: session.peer.passive,
      peerVersion: session.peer.version,
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

  #input(step: Step, now: number): void {
    const { localDiscr, ...timers } = this.#scenario.session;
    switch (step.do) {
      case 'start':
        this.#core.addSession(now, ID, PATH, 44880, timers, localDiscr);
        break;
      case 'receive':
        this.#core.handleDatagram(now, step.arrivalUs ?? now, PATH, bytesOf(step));
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

function bytesOf({ packet, bytes }: Step): Uint8Array {
  return packet === undefined ? Buffer.from(bytes ?? '', 'hex') : new ControlPacket({ version: 1, ...packet }).marshal();
}
