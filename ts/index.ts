/** The public names of `route-liveness`. */
export { monotonicNow } from './base/clock.js';
export { type CloseOptions, type ManagerConfig, type RealtimeOptions, type ResolvedConfig, validateConfig } from './manager/config.js';
export type { DampingOptions } from './manager/damping-options.js';
export type { BackupOptions } from './manager/backup-options.js';
export type { RegisterOptions, RegisterSessionOptions } from './manager/register-options.js';
export type { AuthKeyOptions, AuthOptions } from './manager/session-auth.js';
export type { AuthType, AuthVariant } from './protocol/bfd/options.js';
export { Diagnostic, type WireDiagnostic } from './protocol/bfd/diagnostic.js';
export type { Capabilities, InvalidReason, EndpointRouteStats, EndpointStats, TransitionCause, TransitionCount } from './engine/engine.js';
export { ConfigError, type ConfigIssue, LivenessError, type LivenessErrorCode, type RouteIssue, RoutesError } from './base/errors.js';
export type { HistogramStats } from './metrics/duration-histogram.js';
export type { EndedOperation, RouteOperation } from './routes/installer.js';
export type { SessionTimerOptions } from './base/intervals.js';
export type { Logger } from './base/logger.js';
export type { MassDownOptions } from './manager/mass-down.js';
export { Manager } from './manager/manager.js';
export type { HoldChange, ManagerEvents } from './manager/manager-events.js';
export type { RouteFilter } from './manager/leftover-routes.js';
export type { RouteRef } from './manager/route-manager.js';
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
} from './metrics/metrics.js';
export type { CounterMetric, GaugeMetric, HistogramMetric, MetricsRegistry } from './metrics/prom-client.js';
export { newRouteReaderWriter, type RouteRegistrar } from './manager/route-reader-writer.js';
export type { BackendOptions, NetlinkRoutesOptions, ObjectRange } from './routes/backend-options.js';
export { MemoryRoutes } from './routes/memory-routes.js';
export { NetlinkRoutes } from './routes/netlink-routes.js';
export { type PlacedRoute, type RouteLoss, type RouteReaderWriter, type RouteWatcher } from './routes/reader-writer.js';
export { InvalidLengthError, ShortPacketError, UnsupportedVersionError } from './protocol/packet.js';
export { DEFAULT_LIVENESS_PORT } from './protocol/liveness.js';
export type { Datagram, Destination, UDPService } from './protocol/udp-service.js';
export { DownReason, State, stateFromWire, stateToWire } from './protocol/state.js';
export type { Registration } from './manager/registration-plan.js';
export { formatPeer, formatRoute, formatRouteKey, type Peer, type Route, type RouteKey, routeKey } from './base/route.js';
export type { SessionStatus } from './protocol/session-status.js';
export type { RouteSnapshot, SessionSnapshot } from './manager/session-snapshot.js';
export type { DelayDistribution, ManagerStats } from './manager/stats.js';
export type { Transition } from './manager/transitions.js';
