/** An engine that moves armed routes by itself, slowly and not always; `crate/tests/planner.rs` has the real one. */
import type { ArmedRoute, RouteArming, RouteOutcome } from '../../../ts/engine/engine.js';
import { addressText } from '../../../ts/base/address.js';
import { type PlacedRoute, type Route } from '../../../ts/index.js';
import { formatSlot } from '../../../ts/base/route.js';
import { FakeEngine } from '../fake-engine.js';
import type { Faults } from './backend.js';
import type { Chance } from './chance.js';
import { OURS, type Tables } from './tables.js';

interface Kept {
  readonly id: number;
  sessionId: number;
  generation: number;
  placed: PlacedRoute;
  noUninstall: boolean;
  adminDown: boolean;
  keepOnPeerAdminDown: boolean;
  leaving: boolean | undefined;
  heldUntil: number;
  told: boolean;
  asked: boolean;
  announce: boolean;
}

/** Stands for all sessions: none has this number. */
const ALL = 0;

export class ArmingEngine extends FakeEngine {
  override readonly arming: RouteArming = {
    arm: (routes, adopted = false) => {
      for (const route of routes) this.#arm(route, adopted);
    },
    disarm: (routes) => {
      for (const { id, generation, remove } of routes) this.#disarm(id, generation, remove);
    },
    retry: (routes) => {
      for (const { id, generation } of routes) if (this.#kept.get(id)?.generation === generation) this.#look(id);
    },
    setMaintenance: (sessions, active) => {
      for (const session of sessions ?? [ALL]) {
        if (active) this.#maintained.add(session);
        else this.#maintained.delete(session);
      }
      for (const { id } of this.#kept.values()) this.#look(id);
    },
  };
  readonly #maintained = new Set<number>();
  readonly #kept = new Map<number, Kept>();
  #tables!: Tables;
  #faults!: Faults;
  #chance!: Chance;

  with(tables: Tables, faults: Faults, chance: Chance): this {
    [this.#tables, this.#faults, this.#chance] = [tables, faults, chance];
    tables.onForeignChange = (slot) => {
      for (const kept of this.#kept.values()) if (formatSlot(kept.placed.route) === slot) this.#look(kept.id);
    };
    return this;
  }

  override becomeById(...change: Parameters<FakeEngine['becomeById']>): void {
    super.becomeById(...change);
    for (const { id } of this.#kept.values()) this.#look(id);
  }

  override removeSessions(ids: readonly number[]): void {
    super.removeSessions(ids);
    for (const { id } of this.#kept.values()) this.#look(id);
  }

  #arm(armed: ArmedRoute, adopted: boolean): void {
    const { id, sessionId, generation, noUninstall, adminDown, keepOnPeerAdminDown } = armed;
    const placed = this.#placedOf(armed);
    const known = this.#kept.get(id);
    const state = { leaving: undefined, heldUntil: 0, told: false, asked: false, announce: false };
    const fields = { sessionId, generation, placed, noUninstall, adminDown, keepOnPeerAdminDown };
    const kept = known ?? { id, ...fields, ...state };
    const isReplaced = known !== undefined && JSON.stringify(known.placed) !== JSON.stringify(placed);
    if (adopted || (isReplaced && kept.told)) kept.heldUntil = Date.now() + 3_300;
    Object.assign(kept, { ...fields, leaving: undefined });
    kept.announce ||= adopted;
    this.#kept.set(id, kept);
    setTimeout(() => this.#look(id), 3_300);
    this.#look(id);
  }

  #placedOf({ sessionId, route }: ArmedRoute): PlacedRoute {
    const { table, destination, prefixLength, source, nextHop, protocol, priority } = route;
    const text: Route = {
      table,
      dst: `${addressText(destination)}/${prefixLength}`,
      src: addressText(source),
      nextHop: addressText(nextHop),
      protocol,
      ...(priority === 0 ? {} : { priority }),
    };
    return { route: text, iface: this.sessions.get(sessionId)?.iface };
  }

  #disarm(id: number, generation: number, remove: boolean): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    Object.assign(kept, { generation, leaving: remove });
    this.#look(id);
  }

  /** Some time later, what is wanted is done, or fails. */
  #look(id: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.asked) return;
    kept.asked = true;
    const delay = this.#chance.upTo(99) < this.#faults.slow ? this.#chance.upTo(3_000) : this.#chance.upTo(2);
    setTimeout(() => {
      kept.asked = false;
      this.#act(kept);
    }, delay);
  }

  #act(kept: Kept): void {
    const { placed, noUninstall, adminDown, leaving } = kept;
    const session = this.sessions.get(kept.sessionId);
    const isUp = session?.state === 'up';
    const slot = formatSlot(placed.route);
    const held = this.#tables.at(slot);
    const isOurs = held?.route.protocol === OURS;
    const holds = this.#tables.holds(placed);
    const isPeerAdminDown = !isUp && session?.reason === 'remote_admin';
    const isMaintained = this.#maintained.has(ALL) || this.#maintained.has(kept.sessionId);
    const isHeld = isMaintained || kept.heldUntil > Date.now() || (kept.keepOnPeerAdminDown && isPeerAdminDown && holds);
    const isWanted = leaving === undefined && !adminDown && isUp;
    const isUnwanted = !noUninstall && (leaving === true || (leaving === undefined && (adminDown || (!isUp && !isHeld))));
    const fails = this.#chance.upTo(99) < this.#faults.fail;
    if (isWanted && !holds) {
      if (fails) this.#tell(kept, { op: 'add', ok: false, code: 'EPERM' });
      else if (!this.#tables.add(placed)) this.#tell(kept, { op: 'add', ok: false, code: 'ERR_ROUTE_CONFLICT' });
      else this.#tell(kept, { op: 'add' });
    } else if (isUnwanted && isOurs) {
      if (fails) this.#tell(kept, { op: 'delete', ok: false, code: 'EPERM' });
      else {
        this.#tables.delete(held);
        this.#tell(kept, { op: 'delete', gone: leaving !== undefined });
      }
    } else if (leaving !== undefined) {
      this.#tell(kept, { gone: true });
    } else if (kept.announce || holds !== kept.told) {
      this.#tell(kept, {});
    }
  }

  #tell(kept: Kept, outcome: Partial<RouteOutcome>): void {
    const { id, generation } = kept;
    const installed = this.#tables.holds(kept.placed);
    Object.assign(kept, { told: installed, announce: false });
    if (outcome.gone === true) this.#kept.delete(id);
    const times = { durationUs: 0, atUs: 0, restoreAtUs: undefined, suppressedUntilUs: undefined };
    const rest = { leg: 'primary' as const, ok: true, gone: false, code: undefined, message: undefined, ...times };
    this.listener.routes([{ id, generation, op: 'none', ...rest, installed, ...outcome }]);
    if (outcome.op !== undefined && outcome.ok !== false) this.#look(id);
  }
}
