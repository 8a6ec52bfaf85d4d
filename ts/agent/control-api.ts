/**
 * The answers of the control API, as JSON. Names are in snake case, as the reference's later releases have them; times are
 * ISO 8601 in UTC, `null` where there is none; durations are milliseconds and end in `_ms`.
 */
import type { DownReason, State, TransitionCause } from '../index.js';

/** Where the control socket is unless the configuration says otherwise. */
export const DEFAULT_SOCKET = '/run/route-liveness/control.sock';

/** `GET /sessions`: `manager`, `state` (may be given several times), `peer` and `prefix` filter. */
export interface SessionsAnswer {
  readonly at: string;
  readonly sessions: readonly SessionJson[];
}

/** `GET /routes`: the same filters. */
export interface RoutesAnswer {
  readonly at: string;
  readonly routes: readonly RouteJson[];
}

/** A session. */
export interface SessionJson {
  /** The manager's name in the configuration. */
  readonly manager: string;
  readonly protocol: 'liveness' | 'bfd';
  readonly iface: string;
  readonly local_ip: string;
  readonly peer_ip: string;
  readonly multihop: boolean;
  readonly liveness_status: State;
  /** When the state last changed. */
  readonly liveness_last_updated: string | null;
  /** Whether it was Up since it was registered. */
  readonly ever_up: boolean;
  readonly up_since: string | null;
  readonly down_since: string | null;
  readonly last_down: string | null;
  /** Why it was last taken Down. */
  readonly reason: DownReason;
  /** What of the last silence may have been our own: the worst delay of our thread in it. */
  readonly local_stall_ms: number | null;
  readonly detect_time_ms: number;
  readonly tx_interval_ms: number;
  /** How often it went from Up to another state since it was registered. */
  readonly flaps: number;
  /** The longest time between two packets of the peer while Up, since it last came Up. */
  readonly worst_gap_ms: number | null;
  /** What the peer says of itself; `null` where it has not. */
  readonly peer_version: string | null;
  readonly peer_mode: 'active' | 'passive' | null;
  /** The diagnostics of BFD; `null` in the liveness protocol. */
  readonly local_diag: string | null;
  readonly remote_diag: string | null;
  readonly local_discr: number;
  readonly peer_discr: number;
  readonly auth_key_id: number | null;
  /** The destinations of its routes. */
  readonly routes: readonly string[];
  /** Until when no route of it is withdrawn; `null` if it is not held. */
  readonly held_until: string | null;
}

/** A route. */
export interface RouteJson {
  readonly manager: string;
  readonly iface: string;
  readonly dst: string;
  readonly next_hop: string;
  readonly src: string;
  readonly table: number;
  readonly route_protocol: number;
  readonly priority: number | null;
  readonly local_ip: string;
  readonly peer_ip: string;
  /** Whether the backend has it. */
  readonly rt_status: 'present' | 'absent';
  /** What it runs on. */
  readonly leg: 'primary' | 'backup' | 'none';
  readonly liveness_status: State;
  readonly liveness_last_updated: string | null;
  readonly reason: DownReason;
  readonly detect_time_ms: number;
  readonly admin_down: boolean;
  /** Why the backend's last operation failed. */
  readonly last_error: string | null;
  /** When an operation that failed, or a route that others take away, is tried again. */
  readonly restore_at: string | null;
  /** When a route is installed that is not although its session is Up, since it was Down before (`holdUp`, `damping`). */
  readonly suppressed_until: string | null;
  readonly held_until: string | null;
  /** `config`: from the file, a reload may remove it. `api`: from `POST /routes`, until it is deleted or the agent ends. */
  readonly origin: 'config' | 'api';
}

/**
 * `GET /events`: server-sent events. `id` grows by one; `Last-Event-ID` or `?after=ID` resumes after one. The agent keeps the
 * last events; a reader that asks for older ones, or reads too slowly, gets a `gap` first.
 */
export type AgentEvent = TransitionEvent | RouteEvent | HoldEvent | ReloadEvent | GapEvent;

interface EventBase {
  readonly at: string;
}

export interface TransitionEvent extends EventBase {
  readonly type: 'transition';
  readonly manager: string;
  readonly iface: string;
  readonly local_ip: string;
  readonly peer_ip: string;
  readonly from: State;
  readonly to: State;
  readonly reason: DownReason;
  readonly cause: TransitionCause;
  readonly local_stall_ms: number;
  /** For a Down: how long the peer had been silent. */
  readonly silence_ms: number | null;
  /** So many transitions stand behind this one. */
  readonly count: number;
  readonly local_diag: string | null;
  readonly remote_diag: string | null;
}

export interface RouteEvent extends EventBase {
  readonly type: 'route';
  readonly manager: string;
  readonly iface: string;
  readonly dst: string;
  readonly next_hop: string;
  readonly op: 'add' | 'delete';
  /** What the route runs on, or was to run on, by the operation. */
  readonly leg: 'primary' | 'backup';
  readonly ok: boolean;
  readonly error: string | null;
  readonly duration_ms: number;
}

export interface HoldEvent extends EventBase {
  readonly type: 'hold' | 'release';
  readonly manager: string;
  /** `null`: all sessions of the manager. */
  readonly peer_ip: string | null;
  readonly held_until: string | null;
  /** What the caller gave as `reason`. */
  readonly note: string | null;
}

export interface ReloadEvent extends EventBase {
  readonly type: 'reload';
  readonly ok: boolean;
  /** So many routes and sessions were added, removed and changed. */
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly error: string | null;
}

/** Events `after` to `before`, both excluded, are no longer there. */
export interface GapEvent extends EventBase {
  readonly type: 'gap';
  readonly after: number;
  readonly before: number;
}

/** `GET /healthz` (200, or 503): the agent's event loop and the threads of its managers. */
export interface HealthAnswer {
  readonly ok: boolean;
  readonly version: string;
  readonly started: string;
  readonly managers: readonly ManagerHealth[];
}

export interface ManagerHealth {
  readonly name: string;
  readonly ok: boolean;
  readonly error: string | null;
  readonly engine: 'native' | 'js';
  readonly protocol: 'liveness' | 'bfd';
  readonly sessions: Readonly<Record<State, number>>;
  readonly routes: { readonly registered: number; readonly installed: number };
  /** How many sessions of a predecessor go on since the start (`resume`). */
  readonly resumed: number;
  /** Until when the whole manager is held. */
  readonly held_until: string | null;
  /** The worst lateness of the engine's thread since the start. */
  readonly worst_turn_delay_ms: number;
}

/** `POST /routes` and `DELETE /routes`: one such object, or an array of them; all or nothing. */
export interface RouteRequest {
  /** May be left out where the agent has one manager. */
  readonly manager?: string;
  readonly iface: string;
  readonly dst: string;
  readonly next_hop: string;
  readonly src: string;
  readonly table?: number;
  readonly route_protocol?: number;
  readonly priority?: number;
  readonly peer_ip?: string;
  readonly port?: number;
  readonly tx_min_ms?: number;
  readonly rx_min_ms?: number;
  readonly detect_mult?: number;
  readonly multihop?: boolean;
  /** Where the route runs while its session is not Up. */
  readonly backup?: { readonly next_hop: string; readonly iface: string; readonly peer_ip?: string; readonly local_ip?: string };
  /** So long its session has to stay Up, after it was Down, before the route is installed. */
  readonly hold_up_ms?: number;
  readonly damping?: boolean | DampingRequest;
  /** The keys of the session, only of BFD: the name of a group of the file, or keys. No answer shows them. */
  readonly auth?: string | AuthRequest;
}

/** How the routes of a session that flaps are suppressed. */
export interface DampingRequest {
  readonly penalty?: number;
  readonly suppress_above?: number;
  readonly reuse_below?: number;
  readonly half_life_ms?: number;
  readonly max_suppress_ms?: number;
}

export interface AuthRequest {
  readonly type: 'simple' | 'md5' | 'meticulous-md5' | 'sha1' | 'meticulous-sha1';
  readonly keys: readonly { readonly id: number; readonly key: string; readonly variant?: 'rfc' | 'frr-hmac' }[];
}

/** `POST /admin-down` and `POST /admin-up`: routes as in `DELETE /routes`. */

/** `POST /hold`. */
export interface HoldRequest {
  readonly manager?: string;
  /** The sessions with this peer; all of the manager where it is left out. */
  readonly peer_ip?: string;
  /** 1 to 86 400. The hold ends by itself. */
  readonly seconds: number;
  /** A text for events and the log. */
  readonly reason?: string;
}

/** `POST /release`: what `POST /hold` was given. */
export interface ReleaseRequest {
  readonly manager?: string;
  readonly peer_ip?: string;
}

/** The answer to `POST /routes`, `DELETE /routes`, `POST /admin-down` and `POST /admin-up`: so many routes were named. */
export interface RoutesChangedAnswer {
  readonly routes: number;
}

/** The answer to `POST /hold` and `POST /release`: the managers that it concerned. */
export interface HoldAnswer {
  readonly managers: readonly string[];
}

/** `GET /readyz` (200, or 503): whether all managers run with all that the file says registered. */
export interface ReadyAnswer {
  readonly ok: boolean;
  readonly error: string | null;
}

/** Every answer with a status of 400 or more but those of `/healthz` and `/readyz`. */
export interface ErrorAnswer {
  readonly code: string;
  readonly message: string;
  /** One for each fault of the request. */
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}
