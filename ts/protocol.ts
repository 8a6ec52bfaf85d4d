/** The public names of `route-liveness/protocol`: what a liveness agent can be built of without a `Manager`. */
export { monotonicNow } from './base/clock.js';
export { listenUDP } from './engine/native/listen-udp.js';
export { ConfigError, type ConfigIssue, LivenessError, type LivenessErrorCode } from './base/errors.js';
export type { Logger } from './base/logger.js';
export { Metrics } from './metrics/metrics.js';
export type { CounterMetric, GaugeMetric, HistogramMetric, MetricsRegistry } from './metrics/prom-client.js';
export { Diagnostic, diagnosticFromWire, diagnosticToWire, type WireDiagnostic } from './protocol/bfd/diagnostic.js';
export { BfdPacket, type BfdPacketFields } from './protocol/bfd/packet.js';
export { DEFAULT_BFD_MULTIHOP_PORT, DEFAULT_BFD_PORT } from './protocol/bfd/ports.js';
export { RFC5880 } from './protocol/bfd/rules.js';
export { formatClientVersion, parseClientVersion, type VersionBytes } from './protocol/client-version.js';
export type { Due } from './protocol/deadline-queue.js';
export { EventQueue, type Popped, type QueuedEvent } from './protocol/event-queue.js';
export {
  ControlPacket,
  type ControlPacketFields,
  InvalidLengthError,
  type InvalidReason,
  ShortPacketError,
  UnsupportedVersionError,
} from './protocol/packet.js';
export { type HandleRx, Receiver, type ReceiverOptions, type ReceiverStats } from './protocol/receiver.js';
export { REFERENCE, ROBUST, type Rules } from './protocol/rules.js';
export { Scheduler, type SchedulerOptions, type SchedulerStats, type SessionDown } from './protocol/scheduler.js';
export { type StandaloneSnapshot, Session, type SessionOptions } from './protocol/session.js';
export type { SessionStatus } from './protocol/session-status.js';
export { DownReason, State, stateFromWire, stateToWire } from './protocol/state.js';
export { DEFAULT_LIVENESS_PORT } from './protocol/liveness.js';
export { newUDPService } from './protocol/dgram-service.js';
export type { Datagram, Destination, UDPService } from './protocol/udp-service.js';
export { formatPeer, type Peer, type Route } from './base/route.js';
