/** The types of `route-liveness`, name by name. Compiled by `npm run lint`, never run. */
import type { AddressInfo } from 'node:net';

import type { Counter, Gauge, Histogram, OpenMetricsContentType, Registry } from 'prom-client';
import { expectTypeOf } from 'vitest';

import * as api from '../../ts/index.js';
import * as protocol from '../../ts/protocol.js';

type Reason = 'none' | 'timeout' | 'remote_admin' | 'local_admin' | 'remote_down';
type Status = 'admin_down' | 'down' | 'init' | 'up';

declare const manager: api.Manager;
declare const config: api.ManagerConfig;
declare const route: api.Route;
declare const registry: Registry;
declare const openMetricsRegistry: Registry<OpenMetricsContentType>;

export async function lifecycle(): Promise<void> {
  await api.Manager.start({ ...config, metricsRegistry: openMetricsRegistry });
  new api.Metrics().register(openMetricsRegistry);
  // @ts-expect-error the constructor is private: `Manager.start` is the way
  new api.Manager(config);
  expectTypeOf<(typeof api.Manager)['start']>().parameters.toEqualTypeOf<
    [api.ManagerConfig, ({ signal?: AbortSignal | undefined } | undefined)?]
  >();
  expectTypeOf(api.Manager.start(config)).resolves.toEqualTypeOf<api.Manager>();
  expectTypeOf(manager.engine).toEqualTypeOf<'native' | 'js'>();
  expectTypeOf(manager.capabilities).toEqualTypeOf<api.Capabilities>();
  expectTypeOf<api.Capabilities[keyof api.Capabilities]>().toEqualTypeOf<boolean>();
  expectTypeOf(manager.localAddr()).toEqualTypeOf<AddressInfo | undefined>();
  expectTypeOf(manager.closed).toEqualTypeOf<Promise<void>>();
  expectTypeOf<api.Manager['close']>().parameters.toEqualTypeOf<[(api.CloseOptions | undefined)?]>();
  expectTypeOf(manager.close()).toEqualTypeOf<Promise<void>>();
  expectTypeOf(manager.ref()).toExtend<api.Manager>();
  expectTypeOf(manager.unref()).toExtend<api.Manager>();
  expectTypeOf(manager.stats()).toEqualTypeOf<api.ManagerStats>();
  {
    await using disposed = await api.Manager.start(config);
    expectTypeOf(disposed).toEqualTypeOf<api.Manager>();
  }
  // @ts-expect-error: a manager is started, which may fail, not constructed.
  new api.Manager(config);
  // @ts-expect-error: what has no default has to be given.
  void api.Manager.start({ bindIP: '10.0.0.1' });
  // @ts-expect-error: a misspelt option.
  void api.Manager.start({ ...config, bindIp: '10.0.0.1' });
  // @ts-expect-error: durations are numbers of milliseconds.
  void api.Manager.start({ ...config, txMin: '300ms' });
  // @ts-expect-error: there are two engines.
  void api.Manager.start({ ...config, engine: 'wasm' });
}

export function configuration(): void {
  expectTypeOf(api.validateConfig).parameters.toEqualTypeOf<[api.ManagerConfig]>();
  const full = api.validateConfig(config);
  expectTypeOf(full).toEqualTypeOf<api.ResolvedConfig>();
  expectTypeOf(full.port).toEqualTypeOf<number>();
  expectTypeOf(full.engine).toEqualTypeOf<'auto' | 'native' | 'js'>();
  expectTypeOf(full.onClose).toEqualTypeOf<Readonly<{ adminDown: boolean; withdrawRoutes: boolean }>>();
  // @ts-expect-error: it is frozen.
  full.port = 1;
  type Required = 'netlinker' | 'bindIP' | 'txMin' | 'rxMin' | 'detectMult';
  type Optional =
    | 'logger'
    | 'udp'
    | 'metricsRegistry'
    | 'protocol'
    | 'port'
    | 'multihopPort'
    | 'passiveMode'
    | 'minTxFloor'
    | 'maxTxCeil'
    | 'backoffMax'
    | 'enablePeerMetrics'
    | 'maxEvents'
    | 'engine'
    | 'metricsPrefix'
    | 'clientVersion'
    | 'honorPeerAdvertisedPassive'
    | 'massDown'
    | 'onFatal'
    | 'onPeerAdminDown'
    | 'holdUp'
    | 'damping'
    | 'requireDiscriminator'
    | 'filterRepeats'
    | 'minTtl'
    | 'routeTimeout'
    | 'onClose'
    | 'resume'
    | 'realtime';
  expectTypeOf<keyof api.ManagerConfig>().toEqualTypeOf<Required | Optional>();
  expectTypeOf<Pick<api.ManagerConfig, Required>>().toEqualTypeOf<{
    netlinker: api.RouteReaderWriter;
    bindIP: string | readonly string[];
    txMin: number;
    rxMin: number;
    detectMult: number;
  }>();
  expectTypeOf<Pick<api.ManagerConfig, Required>>().toExtend<api.ManagerConfig>();
  // What is optional may also be given as undefined.
  expectTypeOf<Pick<api.ManagerConfig, Required> & Record<Optional, undefined>>().toExtend<api.ManagerConfig>();
  expectTypeOf<api.CloseOptions>().toEqualTypeOf<{ adminDown?: boolean | undefined; withdrawRoutes?: boolean | undefined }>();
}

export async function routes(): Promise<void> {
  expectTypeOf<api.Manager['registerRoute']>().parameters.toEqualTypeOf<[api.Route, string, (api.RegisterOptions | undefined)?]>();
  expectTypeOf(manager.registerRoute(route, 'eth0')).toEqualTypeOf<Promise<void>>();
  expectTypeOf<keyof api.RegisterOptions>().toEqualTypeOf<
    | 'port'
    | 'peerIP'
    | 'backup'
    | 'txMin'
    | 'rxMin'
    | 'detectMult'
    | 'holdUp'
    | 'damping'
    | 'multihop'
    | 'passive'
    | 'minTtl'
    | 'auth'
    | 'onPeerAdminDown'
  >();
  expectTypeOf<keyof api.RegisterSessionOptions>().toEqualTypeOf<Exclude<keyof api.RegisterOptions, 'peerIP' | 'backup'>>();
  expectTypeOf<api.BackupOptions>().toEqualTypeOf<{
    nextHop: string;
    iface: string;
    peerIP?: string | undefined;
    localIP?: string | undefined;
  }>();
  expectTypeOf<api.RouteOperation['leg']>().toEqualTypeOf<'primary' | 'backup'>();
  expectTypeOf<NonNullable<api.RegisterOptions['auth']>>().toEqualTypeOf<{
    type: 'simple' | 'md5' | 'meticulous-md5' | 'sha1' | 'meticulous-sha1';
    keys: readonly { id: number; key: string | Uint8Array; variant?: 'rfc' | 'frr-hmac' | undefined }[];
  }>();
  expectTypeOf<api.RegisterOptions['holdUp']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.RegisterOptions['damping']>().toEqualTypeOf<boolean | api.DampingOptions | undefined>();
  expectTypeOf<api.ManagerConfig['damping']>().toEqualTypeOf<boolean | api.DampingOptions | undefined>();
  expectTypeOf<keyof api.DampingOptions>().toEqualTypeOf<'penalty' | 'suppressAbove' | 'reuseBelow' | 'halfLife' | 'maxSuppress'>();
  expectTypeOf<api.DampingOptions[keyof api.DampingOptions]>().toEqualTypeOf<number | undefined>();
  await manager.registerRoute(route, 'eth0', { holdUp: 1_000, damping: { halfLife: 2_000 } });
  // @ts-expect-error: damping has no such option.
  await manager.registerRoute(route, 'eth0', { damping: { decay: 1 } });
  // @ts-expect-error: a key has no name of its own choice.
  await manager.registerRoute(route, 'eth0', { auth: { type: 'sha1', keys: [{ id: 1, secret: 'x' }] } });
  // @ts-expect-error: RFC 5880 has no such type.
  await manager.registerRoute(route, 'eth0', { auth: { type: 'sha256', keys: [] } });
  await manager.registerRoute(route, 'eth0', { auth: { type: 'md5', keys: [{ id: 1, key: Buffer.from('x') }] }, multihop: true });
  expectTypeOf<api.Manager['registerRoutes']>().parameters.toEqualTypeOf<[readonly api.Registration[]]>();
  expectTypeOf<api.Manager['registerSession']>().parameters.toEqualTypeOf<[api.Peer, (api.RegisterSessionOptions | undefined)?]>();
  expectTypeOf<api.Manager['withdrawSession']>().parameters.toEqualTypeOf<[api.Peer]>();
  expectTypeOf<api.Registration>().toExtend<{ route: api.Route; iface: string } & api.RegisterOptions>();
  expectTypeOf<api.Manager['withdrawRoute']>().parameters.toEqualTypeOf<[api.Route, string]>();
  expectTypeOf<api.Manager['withdrawRoutes']>().parameters.toEqualTypeOf<[readonly api.RouteRef[]]>();
  expectTypeOf<api.Manager['adminDownRoute']>().parameters.toEqualTypeOf<[api.Route, string]>();
  expectTypeOf<api.Manager['adminUpRoute']>().parameters.toEqualTypeOf<[api.Route, string]>();
  // @ts-expect-error: the interface is part of what a session is.
  await manager.registerRoute(route);
  // @ts-expect-error: a route has a protocol number.
  await manager.registerRoute({ table: 254, dst: '10.9.0.7/32', src: '10.0.0.1', nextHop: '10.0.0.2' }, 'eth0');

  expectTypeOf<api.Route>().toEqualTypeOf<{
    table: number;
    dst: string;
    src: string;
    nextHop: string;
    protocol: number;
    priority?: number;
    noUninstall?: boolean;
  }>();
  expectTypeOf<api.RouteKey>().toEqualTypeOf<{
    iface: string;
    srcIP: string;
    table: number;
    dstPrefix: string;
    nextHop: string;
    priority: number;
  }>();
  expectTypeOf<api.Peer>().toEqualTypeOf<{ iface: string; localIP: string; peerIP: string }>();
  expectTypeOf(api.routeKey).toEqualTypeOf<(iface: string, route: api.Route) => api.RouteKey>();
  expectTypeOf(api.formatRoute).toEqualTypeOf<(route: api.Route) => string>();
  expectTypeOf(api.formatRouteKey).toEqualTypeOf<(key: api.RouteKey) => string>();
  expectTypeOf(api.formatPeer).toEqualTypeOf<(peer: api.Peer) => string>();
}

export function backends(): void {
  expectTypeOf<api.RouteReaderWriter['routeAdd']>().returns.toEqualTypeOf<void | Promise<void>>();
  expectTypeOf<api.RouteReaderWriter['routeDelete']>().returns.toEqualTypeOf<void | Promise<void>>();
  expectTypeOf<api.RouteReaderWriter['routeByProtocol']>().returns.toEqualTypeOf<api.Route[] | Promise<api.Route[]>>();
  expectTypeOf(new api.MemoryRoutes()).toExtend<api.RouteReaderWriter>();
  expectTypeOf(new api.NetlinkRoutes({ takeOver: true })).toExtend<api.RouteReaderWriter>();
  expectTypeOf(manager).toExtend<api.RouteRegistrar>();
  expectTypeOf(api.newRouteReaderWriter(manager, new api.MemoryRoutes(), 'eth0', { port: 1 })).toEqualTypeOf<api.RouteReaderWriter>();
  const own = { routeAdd: () => undefined, routeDelete: () => undefined, routeByProtocol: () => [] };
  expectTypeOf(own).toExtend<api.RouteReaderWriter>();
  // @ts-expect-error: a backend lists routes.
  api.newRouteReaderWriter(manager, { routeAdd: () => undefined, routeDelete: () => undefined }, 'eth0');
}

export async function sessions(): Promise<void> {
  expectTypeOf(manager.getSessions()).toEqualTypeOf<api.SessionSnapshot[]>();
  expectTypeOf(manager.getSession({ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' })).toEqualTypeOf<
    api.SessionSnapshot | undefined
  >();
  expectTypeOf<api.SessionSnapshot['state']>().toEqualTypeOf<Status>();
  expectTypeOf<api.SessionSnapshot['lastDownReason']>().toEqualTypeOf<Reason>();
  type Moment = 'convUpStart' | 'convDownStart' | 'upSince' | 'downSince' | 'detectDeadline' | 'nextDetectScheduled' | 'lastUpdated';
  expectTypeOf<api.SessionSnapshot[Moment]>().toEqualTypeOf<Date | undefined>();
  expectTypeOf<api.SessionSnapshot['localDiscr' | 'peerDiscr' | 'detectTime' | 'txInterval']>().toEqualTypeOf<number>();
  expectTypeOf<api.SessionSnapshot['peerMode']>().toEqualTypeOf<'active' | 'passive' | undefined>();
  expectTypeOf<api.SessionSnapshot['peerVersion']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<api.SessionSnapshot['route']>().toEqualTypeOf<Readonly<api.Route> | undefined>();
  expectTypeOf<api.RouteSnapshot>().toEqualTypeOf<{
    readonly route: Readonly<api.Route>;
    readonly installed: boolean;
    readonly leg: 'primary' | 'backup' | 'none';
    readonly adminDown: boolean;
    readonly lastError: Error | undefined;
    readonly restoreAt: Date | undefined;
    readonly suppressedUntil: Date | undefined;
    readonly heldUntil: Date | undefined;
  }>();
  expectTypeOf<api.SessionSnapshot['everUp']>().toEqualTypeOf<boolean>();
  expectTypeOf<api.SessionSnapshot['flaps']>().toEqualTypeOf<number>();
  expectTypeOf<api.SessionSnapshot['worstGap']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.SessionSnapshot['heldUntil']>().toEqualTypeOf<Date | undefined>();
  await manager.hold({ duration: 60_000 });
  await manager.release({ peers: [{ iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.0.0.2' }] });
  expectTypeOf(manager.heldUntil).toEqualTypeOf<Date | undefined>();
  expectTypeOf(manager.ping()).toEqualTypeOf<Promise<void>>();
  manager.on('hold', ({ peers, until }) => {
    expectTypeOf(peers).toEqualTypeOf<readonly Readonly<api.Peer>[] | undefined>();
    expectTypeOf(until).toEqualTypeOf<Date | undefined>();
  });

  manager.on('transition', (transition) => {
    expectTypeOf(transition).toEqualTypeOf<api.Transition>();
  });
  manager.once('route', (operation) => {
    expectTypeOf(operation).toEqualTypeOf<api.RouteOperation>();
  });
  manager.on('error', (error) => {
    expectTypeOf(error).toEqualTypeOf<Error>();
  });
  // @ts-expect-error: there is no such event.
  manager.on('up', () => undefined);
  for await (const transition of manager.transitions({ signal: AbortSignal.timeout(1) })) {
    expectTypeOf(transition).toEqualTypeOf<api.Transition>();
  }
  expectTypeOf<api.Transition['cause']>().toEqualTypeOf<'register_route' | 'handle_rx' | 'detect_timeout' | 'admin_down'>();
  expectTypeOf<api.Transition['from' | 'to']>().toEqualTypeOf<Status>();
  expectTypeOf<api.Transition['reason']>().toEqualTypeOf<Reason>();
  expectTypeOf<api.Transition['at']>().toEqualTypeOf<Date>();
  expectTypeOf<api.Transition['count' | 'localStall']>().toEqualTypeOf<number>();
  expectTypeOf<NonNullable<api.Transition['lastDown']>>().toEqualTypeOf<{
    readonly at: Date;
    readonly reason: Reason;
    readonly localStall: number;
  }>();
  expectTypeOf<api.RouteOperation['op']>().toEqualTypeOf<'add' | 'delete'>();
  expectTypeOf<api.RouteOperation['ok']>().toEqualTypeOf<boolean>();
  expectTypeOf<api.RouteOperation['duration']>().toEqualTypeOf<number>();
}

export function names(): void {
  expectTypeOf<api.State>().toEqualTypeOf<Status>();
  expectTypeOf(api.State).toEqualTypeOf<{
    readonly AdminDown: 'admin_down';
    readonly Down: 'down';
    readonly Init: 'init';
    readonly Up: 'up';
  }>();
  expectTypeOf<api.DownReason>().toEqualTypeOf<Reason>();
  expectTypeOf<(typeof api.DownReason)[keyof typeof api.DownReason]>().toEqualTypeOf<Reason>();
  expectTypeOf(api.stateToWire).toEqualTypeOf<(state: api.State) => number>();
  expectTypeOf(api.stateFromWire(7)).toEqualTypeOf<Status | `unknown(${number})`>();
  expectTypeOf(api.monotonicNow).toEqualTypeOf<() => number>();
  expectTypeOf(api.DEFAULT_LIVENESS_PORT).toExtend<number>();
  // @ts-expect-error: a state is one of four.
  api.stateToWire('Up');
  const labels: [
    typeof api.LABEL_IFACE,
    typeof api.LABEL_LOCAL_IP,
    typeof api.LABEL_PEER_IP,
    typeof api.LABEL_STATE,
    typeof api.LABEL_STATE_TO,
    typeof api.LABEL_STATE_FROM,
    typeof api.LABEL_REASON,
    typeof api.LABEL_OPERATION,
  ] = ['iface', 'local_ip', 'peer_ip', 'state', 'state_to', 'state_from', 'reason', 'operation'];
  expectTypeOf(labels).toExtend<readonly string[]>();
}

export function metrics(): void {
  const shown = new api.Metrics({ prefix: 'doublezero_liveness_' });
  expectTypeOf(shown.register(registry)).toEqualTypeOf<api.Metrics>();
  type Gauges = 'sessions' | 'routesInstalled' | 'schedulerServiceQueueLen' | 'schedulerTotalQueueLen' | 'peerSessions' | 'peerDetectTime';
  type Histograms = 'convergenceToUp' | 'convergenceToDown' | 'handleRxDuration';
  type EndpointCounters =
    | 'sessionTransitions'
    | 'routeInstalls'
    | 'routeWithdraws'
    | 'schedulerEventsDropped'
    | 'routeInstallFailures'
    | 'routeUninstallFailures'
    | 'controlPacketsTX'
    | 'controlPacketsRX'
    | 'controlPacketsRxInvalid'
    | 'unknownPeerPackets'
    | 'readSocketErrors'
    | 'writeSocketErrors';
  expectTypeOf<api.Metrics[Gauges]>().toEqualTypeOf<Gauge>();
  expectTypeOf<api.Metrics[Histograms]>().toEqualTypeOf<Histogram>();
  expectTypeOf<api.Metrics[EndpointCounters]>().toEqualTypeOf<Counter>();
  expectTypeOf<Exclude<keyof api.Metrics, 'register' | 'all'>>().toEqualTypeOf<Gauges | Histograms | EndpointCounters>();
  // @ts-expect-error: the property is made by the constructor, and stays.
  shown.sessions = shown.routesInstalled;
}

export function errors(): void {
  expectTypeOf<api.LivenessError>().toExtend<Error>();
  expectTypeOf<api.LivenessError['code']>().toExtend<string>();
  expectTypeOf<api.ConfigError>().toExtend<api.LivenessError>();
  expectTypeOf<api.ConfigError['issues']>().toEqualTypeOf<readonly { readonly path: string; readonly message: string }[]>();
  expectTypeOf<api.RoutesError['issues'][number]>().toExtend<{ index: number; code: string; message: string }>();
  expectTypeOf<api.ShortPacketError | api.InvalidLengthError | api.UnsupportedVersionError>().toExtend<api.LivenessError>();
  // One class per name across both entries.
  expectTypeOf(protocol.ShortPacketError).toEqualTypeOf(api.ShortPacketError);
  expectTypeOf(protocol.InvalidLengthError).toEqualTypeOf(api.InvalidLengthError);
  expectTypeOf(protocol.UnsupportedVersionError).toEqualTypeOf(api.UnsupportedVersionError);
  expectTypeOf(protocol.Metrics).toEqualTypeOf(api.Metrics);
  expectTypeOf<protocol.UDPService>().toEqualTypeOf<api.UDPService>();
  expectTypeOf<protocol.UDPService>().toExtend<NonNullable<api.ManagerConfig['udp']>>();
}

export function bfd(transition: api.Transition): void {
  type Diag = api.Diagnostic | `unknown(${number})`;
  expectTypeOf<api.SessionSnapshot['localDiag']>().toEqualTypeOf<Diag | undefined>();
  expectTypeOf<api.SessionSnapshot['remoteDiag']>().toEqualTypeOf<Diag | undefined>();
  expectTypeOf<api.SessionSnapshot['remoteDetectMult']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.SessionSnapshot['remoteTxMin']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.SessionSnapshot['remoteRxMin']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.SessionSnapshot['polling']>().toEqualTypeOf<boolean | undefined>();
  expectTypeOf<api.SessionSnapshot['authKeyId']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<api.SessionSnapshot['multihop']>().toEqualTypeOf<boolean>();
  expectTypeOf(transition.localDiag).toEqualTypeOf<Diag | undefined>();
  expectTypeOf(transition.remoteDiag).toEqualTypeOf<Diag | undefined>();
  expectTypeOf<api.ManagerConfig['protocol']>().toEqualTypeOf<'liveness' | 'bfd' | undefined>();
  expectTypeOf<api.ManagerConfig['onPeerAdminDown']>().toEqualTypeOf<'withdraw' | 'keep' | undefined>();
  expectTypeOf<api.ResolvedConfig['protocol']>().toEqualTypeOf<'liveness' | 'bfd'>();
  expectTypeOf<api.ResolvedConfig['multihopPort']>().toEqualTypeOf<number | undefined>();
  // @ts-expect-error: a manager speaks one protocol.
  api.validateConfig({ protocol: ['liveness', 'bfd'] });
}
