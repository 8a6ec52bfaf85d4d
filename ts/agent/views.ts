/** What the control API shows of sessions, routes and events. */
import type { Peer, RouteOperation, RouteSnapshot, SessionSnapshot, Transition } from '../index.js';
import type { RouteEvent, RouteJson, SessionJson, TransitionEvent } from './control-api.js';

/** What a view needs beside the snapshot. */
export interface ViewContext {
  readonly manager: string;
  readonly protocol: 'liveness' | 'bfd';
  /** The worst delay of our thread in the last silence of a session, in milliseconds. */
  readonly localStall: (peer: Peer) => number | undefined;
  readonly origin: (route: RouteSnapshot) => 'config' | 'api';
}

export function sessionView(session: SessionSnapshot, { manager, protocol, localStall }: ViewContext): SessionJson {
  const { peer } = session;
  return {
    manager,
    protocol,
    iface: peer.iface,
    local_ip: peer.localIP,
    peer_ip: peer.peerIP,
    multihop: session.multihop,
    liveness_status: session.state,
    liveness_last_updated: timeOf(session.lastUpdated),
    ever_up: session.everUp,
    up_since: timeOf(session.upSince),
    down_since: timeOf(session.downSince),
    last_down: timeOf(session.lastDown),
    reason: session.lastDownReason,
    local_stall_ms: localStall(peer) ?? null,
    detect_time_ms: session.detectTime,
    tx_interval_ms: session.txInterval,
    flaps: session.flaps,
    worst_gap_ms: session.worstGap ?? null,
    peer_version: session.peerVersion ?? null,
    peer_mode: session.peerMode ?? null,
    local_diag: session.localDiag ?? null,
    remote_diag: session.remoteDiag ?? null,
    local_discr: session.localDiscr,
    peer_discr: session.peerDiscr,
    auth_key_id: session.authKeyId ?? null,
    routes: session.routes.map(({ route }) => route.dst),
    held_until: timeOf(session.heldUntil),
  };
}

export function routeView(session: SessionSnapshot, snapshot: RouteSnapshot, { manager, origin }: ViewContext): RouteJson {
  const { peer } = session;
  const { route } = snapshot;
  return {
    manager,
    iface: peer.iface,
    dst: route.dst,
    next_hop: route.nextHop,
    src: route.src,
    table: route.table,
    route_protocol: route.protocol,
    priority: route.priority ?? null,
    local_ip: peer.localIP,
    peer_ip: peer.peerIP,
    rt_status: snapshot.installed ? 'present' : 'absent',
    leg: snapshot.leg,
    liveness_status: session.state,
    liveness_last_updated: timeOf(session.lastUpdated),
    reason: session.lastDownReason,
    detect_time_ms: session.detectTime,
    admin_down: snapshot.adminDown,
    last_error: snapshot.lastError?.message ?? null,
    restore_at: timeOf(snapshot.restoreAt),
    suppressed_until: timeOf(snapshot.suppressedUntil),
    held_until: timeOf(snapshot.heldUntil),
    origin: origin(snapshot),
  };
}

export function transitionEvent(manager: string, transition: Transition): TransitionEvent {
  const { peer, from, to, reason, cause, at, localStall, silence, count, localDiag, remoteDiag } = transition;
  return {
    type: 'transition',
    at: at.toISOString(),
    manager,
    iface: peer.iface,
    local_ip: peer.localIP,
    peer_ip: peer.peerIP,
    from,
    to,
    reason,
    cause,
    local_stall_ms: localStall,
    silence_ms: silence ?? null,
    count,
    local_diag: localDiag ?? null,
    remote_diag: remoteDiag ?? null,
  };
}

export function routeEvent(manager: string, { route, iface, op, leg, ok, error, duration }: RouteOperation): RouteEvent {
  const at = new Date().toISOString();
  const { dst, nextHop } = route;
  const message = error?.message ?? null;
  return { type: 'route', at, manager, iface, dst, next_hop: nextHop, op, leg, ok, error: message, duration_ms: duration };
}

export function timeOf(date: Date | undefined): string | null {
  return date?.toISOString() ?? null;
}
