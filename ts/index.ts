/** The public names of `route-liveness`. */
export { monotonicNow } from './clock.js';
export {
  type CloseOptions,
  type ManagerConfig,
  type RealtimeOptions,
  type RegisterOptions,
  type ResolvedConfig,
  validateConfig,
} from './config.js';
export type { Capabilities, InvalidReason, RouteScopeStats, ScopeStats, TransitionCause, TransitionCount } from './engine/engine.js';
export { ConfigError, type ConfigIssue, LivenessError, type LivenessErrorCode, type RouteIssue, RoutesError } from './errors.js';
export type { HistogramStats } from './histogram.js';
export type { RouteOperation } from './installer/installer.js';
export type { SessionTimerOptions } from './intervals.js';
export type { Logger } from './logger.js';
export { Manager, type ManagerEvents } from './manager.js';
export type { LeftRoutes, RouteRef } from './roster.js';
export {
  LABEL_IFACE,
  LABEL_LOCAL_IP,
  LABEL_OPERATION,
  LABEL_PEER_IP,
  LABEL_REASON,
  LABEL_STATE,
  LABEL_STATE_FROM,
  LABEL_STATE_TO,
  Metrics,
} from './metrics.js';
export { MemoryRoutes } from './netlinker/memory.js';
export { NetlinkRoutes } from './netlinker/netlink.js';
export {
  newRouteReaderWriter,
  type PlacedRoute,
  type RouteLoss,
  type RouteReaderWriter,
  type RouteRegistrar,
  type RouteWatcher,
} from './netlinker/reader-writer.js';
export { InvalidLengthError, ShortPacketError, UnsupportedVersionError } from './protocol/packet.js';
export { DEFAULT_LIVENESS_PORT, type Datagram, type Destination, type UDPService } from './protocol/udp.js';
export { DownReason, State, stateFromWire, stateToWire } from './protocol/state.js';
export type { Registration } from './registration.js';
export { formatPeer, formatRoute, formatRouteKey, type Peer, type Route, type RouteKey, routeKey } from './route.js';
export type { BareSnapshot } from './protocol/session-snapshot.js';
export type { RouteSnapshot, SessionSnapshot } from './snapshot.js';
export type { LatenessHistogram, ManagerStats } from './stats.js';
export type { Transition } from './transitions.js';
