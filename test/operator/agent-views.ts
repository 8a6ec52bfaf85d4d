/** Answers of an agent, as tests of its clients need them. */
import type { RouteJson, SessionJson } from '../../ts/agent/control-api.js';

/** When all of them were given. */
export const AT = '2026-11-26T12:00:00.000Z';

/** A session that is Up for an hour, unless told otherwise. */
export function sessionView(view: Partial<SessionJson> = {}): SessionJson {
  return {
    manager: 'fabric',
    protocol: 'liveness',
    iface: 'eth1',
    local_ip: '10.201.0.1',
    peer_ip: '10.201.0.2',
    multihop: false,
    liveness_status: 'up',
    liveness_last_updated: '2026-11-26T11:00:00.000Z',
    ever_up: true,
    up_since: '2026-11-26T11:00:00.000Z',
    down_since: null,
    last_down: null,
    reason: 'none',
    local_stall_ms: null,
    detect_time_ms: 150,
    tx_interval_ms: 50,
    flaps: 0,
    worst_gap_ms: 55.1,
    peer_version: null,
    peer_mode: 'active',
    local_diag: null,
    remote_diag: null,
    local_discr: 1,
    peer_discr: 2,
    auth_key_id: null,
    routes: ['10.9.0.2/32'],
    held_until: null,
    ...view,
  };
}

/** A route that is installed, unless told otherwise. */
export function routeView(view: Partial<RouteJson> = {}): RouteJson {
  return {
    manager: 'fabric',
    iface: 'eth1',
    dst: '10.9.0.2/32',
    next_hop: '10.201.0.2',
    src: '10.201.0.1',
    table: 254,
    route_protocol: 186,
    priority: null,
    local_ip: '10.201.0.1',
    peer_ip: '10.201.0.2',
    leg: 'primary',
    rt_status: 'present',
    liveness_status: 'up',
    liveness_last_updated: '2026-11-26T11:00:00.000Z',
    reason: 'none',
    detect_time_ms: 150,
    admin_down: false,
    last_error: null,
    restore_at: null,
    suppressed_until: null,
    held_until: null,
    origin: 'config',
    ...view,
  };
}

/** Sessions with the peers 10.201.0.0, 10.201.0.1 and so on. */
export function manySessions(count: number, view: (index: number) => Partial<SessionJson> = () => ({})): SessionJson[] {
  return Array.from({ length: count }, (_, index) =>
    sessionView({ peer_ip: `10.201.${index >> 8}.${index & 255}`, routes: [`10.9.${index >> 8}.${index & 255}/32`], ...view(index) }),
  );
}
