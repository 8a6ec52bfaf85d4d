/** Managers that run on a simulated clock, over a simulated network. */
import * as v from 'valibot';

import { ConfigError, expected, LivenessError } from '../base/errors.js';
import { canonicalAddress, unicastAddress } from '../base/address.js';
import { duration, field, integer, object, optionsOf } from '../base/fields.js';
import type { EngineFactory } from '../engine/select.js';
import { JsEngine } from '../engine/js/js-engine.js';
import { validateConfig, type ManagerConfig } from '../manager/config.js';
import { type Manager, startManager } from '../manager/manager.js';
import { NetlinkRoutes } from '../routes/netlink-routes.js';
import type { LinkQuality } from '../engine/native/simulation.js';
import { Xorshift32 } from '../protocol/jitter.js';
import { deliveries, QUALITY_ENTRIES } from './link.js';
import { NetworkHost, SimulatedTransport, type Wire } from './network-host.js';
import { SimulatedClock } from './simulated-clock.js';

const LONGEST_RUN = 7 * 24 * 3_600_000;
const EPHEMERAL_PORT = 49_152;

const date = field<Date>('a valid Date', (value) => value instanceof Date && !Number.isNaN(value.getTime()));
const NETWORK_SCHEMA = object({ seed: v.optional(integer(0, 0xffff_ffff)), start: v.optional(date), ...QUALITY_ENTRIES });
const QUALITY_SCHEMA = object(QUALITY_ENTRIES);
const RUN_SCHEMA = object({ duration: duration(LONGEST_RUN) });

/** The options of a network. */
export interface SimulatedNetworkOptions extends LinkQuality {
  /** Decides everything that is random, 0 to 4 294 967 295. Default: 1. */
  readonly seed?: number | undefined;
  /** The date at which simulated time starts. Default: 2000-01-01T00:00:00Z. */
  readonly start?: Date | undefined;
}

/**
 * A network of managers, each on a host with one address. Time moves only in `run`. The managers are those of `Manager.start`,
 * on the JavaScript engine's core: the same configuration, methods, events and defaults. A backend, a logger or a listener of your own
 * runs as it is; what it awaits beyond promises, such as a timer of Node, is not simulated.
 */
export class SimulatedNetwork {
  readonly #clock = new SimulatedClock();
  readonly #random: Xorshift32;
  readonly #wallOffset: number;
  readonly #quality: LinkQuality;
  /** By the addresses of sender and receiver. */
  readonly #links = new Map<string, LinkQuality>();
  readonly #cut = new Set<string>();
  readonly #hosts = new Map<string, NetworkHost>();
  /** By address and port. */
  readonly #transports = new Map<string, SimulatedTransport>();
  #isRunning = false;

  /**
   * @param options.seed decides everything that is random; the other options are the quality of every link
   * @throws ConfigError `ERR_CONFIG`
   */
  constructor(options?: SimulatedNetworkOptions) {
    const { seed = 1, start = new Date(Date.UTC(2000, 0)), ...quality } = optionsOf(NETWORK_SCHEMA, options);
    this.#random = new Xorshift32(seed);
    this.#wallOffset = start.getTime();
    this.#quality = quality;
  }

  /** Simulated milliseconds since the start. */
  get now(): number {
    return this.#clock.now;
  }

  /**
   * Starts a manager on the host with the address `bindIP`. `engine`, `minTtl` and `realtime` have no effect.
   *
   * @throws ConfigError `ERR_CONFIG`, also for `udp`, `resume`, for `NetlinkRoutes`, and for a `bindIP` that is no unicast address;
   * LivenessError `EADDRINUSE`
   */
  async startManager(config: ManagerConfig): Promise<Manager> {
    const { bindIP, netlinker, udp, resume } = validateConfig(config);
    const address = typeof bindIP === 'string' ? unicastAddress(bindIP) : undefined;
    if (address === undefined) throw refused('bindIP', 'the address of a host', bindIP);
    if (netlinker instanceof NetlinkRoutes)
      throw refused('netlinker', 'a backend without a kernel, such as `new MemoryRoutes()`', netlinker);
    if (udp !== undefined) throw refused('udp', 'left out: the network is simulated', udp);
    if (resume !== undefined) throw refused('resume', 'left out: a simulated host has no files', resume);
    const host = this.#host(address);
    const manager = await startManager({ ...config, engine: 'js' }, undefined, this.#engineOn(host), host);
    // Only `run` moves time, so that nothing has to keep the process alive.
    return manager.unref();
  }

  /**
   * Runs for so many simulated milliseconds: up to a week.
   *
   * @throws ConfigError `ERR_CONFIG`; LivenessError `ERR_SIMULATION` while another `run` has not ended
   */
  async run(duration: number): Promise<void> {
    optionsOf(RUN_SCHEMA, { duration });
    if (this.#isRunning) throw new LivenessError('ERR_SIMULATION', 'The network runs already: await the first `run`');
    this.#isRunning = true;
    try {
      await this.#clock.run(duration);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Changes the quality of one direction of a link, named by the addresses of its ends. @throws ConfigError `ERR_CONFIG` */
  setQuality(from: string, to: string, quality: LinkQuality): void {
    this.#links.set(linkOf(from, to), optionsOf(QUALITY_SCHEMA, quality, 'quality'));
  }

  /** Cuts one direction of a link. Packets on their way still arrive. @throws ConfigError `ERR_CONFIG` */
  cut(from: string, to: string): void {
    this.#cut.add(linkOf(from, to));
  }

  /** Ends a cut. @throws ConfigError `ERR_CONFIG` */
  heal(from: string, to: string): void {
    this.#cut.delete(linkOf(from, to));
  }

  /** Stops the host with an address for so many milliseconds: its timers and packets wait. @throws ConfigError `ERR_CONFIG` */
  stall(address: string, duration: number): void {
    optionsOf(RUN_SCHEMA, { duration });
    const host = this.#hosts.get(typeof address === 'string' ? (canonicalAddress(address) ?? '') : '');
    if (host === undefined) throw refused('address', 'the address of a host', address);
    host.stall(duration);
  }

  #host(address: string): NetworkHost {
    const known = this.#hosts.get(address);
    if (known !== undefined) return known;
    // A generator of its own: what one host draws changes nothing for the others.
    const host = new NetworkHost(address, this.#clock, new Xorshift32(this.#random.next()), this.#wallOffset);
    this.#hosts.set(address, host);
    return host;
  }

  #engineOn(host: NetworkHost): EngineFactory {
    return (_, options, listener) =>
      JsEngine.startOn(
        {
          environment: host,
          host,
          hasPacketInfo: false,
          open: (receives) => new SimulatedTransport(host, this.#wire, options, receives),
        },
        options,
        listener,
      );
  }

  readonly #wire: Wire = {
    bind: (transport, wanted) => {
      let port = wanted === 0 ? EPHEMERAL_PORT : wanted;
      while (wanted === 0 && this.#transports.has(`${transport.host.address}:${port}`)) port += 1;
      const name = `${transport.host.address}:${port}`;
      if (this.#transports.has(name)) throw new LivenessError('EADDRINUSE', `${name} is in use`);
      this.#transports.set(name, transport);
      return port;
    },
    unbind: (transport, port) => {
      this.#transports.delete(`${transport.host.address}:${port}`);
    },
    send: (from, peerIP, peerPort, bytes) => {
      const link = linkOf(from.host.address, peerIP);
      if (this.#cut.has(link)) return;
      for (const delivery of deliveries(this.#links.get(link) ?? this.#quality, bytes, this.#random)) {
        this.#clock.at(this.#clock.now + delivery.after, () => {
          this.#transports.get(`${peerIP}:${peerPort}`)?.receive(delivery.bytes, from.host.address, peerPort);
        });
      }
    },
  };
}

function linkOf(from: string, to: string): string {
  return `${hostAddress('from', from)} ${hostAddress('to', to)}`;
}

function hostAddress(path: string, given: string): string {
  const address = typeof given === 'string' ? unicastAddress(given) : undefined;
  if (address === undefined) throw refused(path, 'the address of a host', given);
  return address;
}

function refused(path: string, what: string, got: unknown): ConfigError {
  return new ConfigError([{ path, message: expected(path, what, got) }]);
}
