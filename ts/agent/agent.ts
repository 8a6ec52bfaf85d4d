/** The agent: the managers of a configuration file, its control API, and what systemd hears of it. */
import type { Registry } from 'prom-client';

import { codeOf, LivenessError, messageOf, toError } from '../base/errors.js';
import type { AgentLogger } from './agent-logger.js';
import type { AgentConfig } from './config/agent-config.js';
import { formatIssue } from './config/issues.js';
import { formatListen } from './config/listen-address.js';
import { type AgentState, ControlService, type Phase } from './control-service.js';
import { EventLog } from './event-log.js';
import { ControlServer } from './http/control-server.js';
import { controlOperations, metricsOperations, type StaticAnswers } from './http/operations.js';
import type { ReloadPlan } from './reload-plan.js';
import { restartFields } from './restart-fields.js';
import { type Reload, RunningManager } from './running-manager.js';
import { type Notify, Supervisor } from './supervisor.js';

export interface AgentOptions {
  readonly config: AgentConfig;
  /** Reads the file again. @throws ConfigFileError */
  readonly reread: () => AgentConfig;
  readonly logger: AgentLogger;
  readonly registry: Registry;
  readonly answers: StaticAnswers;
  readonly notify: Notify;
  /** See `SupervisorOptions`. */
  readonly watchdog: number | undefined;
}

export class Agent implements AgentState {
  readonly started = new Date();
  /** Resolves with the reason once the engine of a manager has stopped by itself. */
  readonly failed: Promise<Error>;
  /** Resolves once a successor has taken over the sessions of all managers: there is nothing left to do. */
  readonly handedOver: Promise<undefined>;
  readonly #options: AgentOptions;
  readonly #events: EventLog;
  readonly #service: ControlService;
  readonly #servers: ControlServer[] = [];
  readonly #managers: RunningManager[] = [];
  readonly #handedOver = new Set<string>();
  #settleFailed!: (error: Error) => void;
  #settleHandedOver!: (value: undefined) => void;
  #config: AgentConfig;
  #phase: Phase = 'starting';
  #fault: Error | undefined;
  #supervisor: Supervisor | undefined;
  #reloading: Promise<void> | undefined;
  #reloadsAgain = false;
  #closing: Promise<void> | undefined;

  /**
   * Starts all of a configuration, or nothing.
   *
   * @throws LivenessError what kept it from starting; then all is closed again, and routes that were installed are withdrawn
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    try {
      await agent.#start();
      return agent;
    } catch (error) {
      await agent.#closeAll({ adminDown: false, withdrawRoutes: true });
      throw error;
    }
  }

  private constructor(options: AgentOptions) {
    const { config, registry } = options;
    this.#options = options;
    this.#config = config;
    this.#events = new EventLog(config.control.events);
    this.#service = new ControlService(this, this.#events, registry);
    this.failed = new Promise((resolve) => {
      this.#settleFailed = resolve;
    });
    this.handedOver = new Promise((resolve) => {
      this.#settleHandedOver = resolve;
    });
  }

  get managers(): readonly RunningManager[] {
    return this.#managers;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get fault(): Error | undefined {
    return this.#fault;
  }

  get reloading(): Promise<void> | undefined {
    return this.#reloading;
  }

  /** Where the API and the metrics are reached by TCP. */
  get addresses(): readonly string[] {
    return this.#servers.flatMap(({ address }) => (address === undefined ? [] : [formatListen(address)]));
  }

  /** Applies the file as it is now. What is wrong with it is logged, and then nothing changes. Never rejects. */
  async reload(): Promise<void> {
    if (this.#reloading !== undefined) {
      // The file may have changed since the present reload has read it.
      this.#reloadsAgain = true;
      return this.#reloading;
    }
    this.#reloading = this.#reloadAll();
    await this.#reloading;
  }

  /** Closes as the file says. Idempotent. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  /** Gives up the control socket, for a process that ends at once. */
  abandon(): void {
    for (const server of this.#servers) server.removeSocket();
  }

  async #start(): Promise<void> {
    // First, since a second agent with the same file must not touch a route.
    await this.#openServers();
    const { managers, warnings, file } = this.#config;
    const { logger, notify, watchdog } = this.#options;
    for (const issue of warnings) logger.warn({}, formatIssue(file, issue));
    for (const settings of managers) this.#managers.push(await this.#startManager(settings));
    for (const manager of this.#managers) await manager.registerAll();
    for (const manager of this.#managers) await manager.adopt();
    this.#supervisor = new Supervisor({ managers: () => this.#managers, notify, watchdog });
    this.#phase = 'ready';
    notify(`READY=1\nSTATUS=${summaryOf(this.#config)}`);
    const fields = { file, socket: this.#config.control.socket, listen: this.addresses };
    logger.info(fields, `ready: ${summaryOf(this.#config)}`);
  }

  async #openServers(): Promise<void> {
    const { control, metrics } = this.#config;
    const { logger, answers } = this.#options;
    const service = this.#service;
    const context = { service, logger, operations: controlOperations(service, answers) };
    const { socket, mode, group, listen } = control;
    if (socket !== undefined) this.#servers.push(await ControlServer.onSocket({ path: socket, mode, group }, context));
    if (listen !== undefined) this.#servers.push(await ControlServer.onAddress(listen, context));
    if (metrics.listen === undefined) return;
    this.#servers.push(await ControlServer.onAddress(metrics.listen, { ...context, operations: metricsOperations(service) }));
  }

  async #startManager(settings: AgentConfig['managers'][number]): Promise<RunningManager> {
    const { logger, registry } = this.#options;
    const { metrics } = this.#config;
    const onFailed = (name: string, error: Error): void => {
      this.#fault ??= new Error(`the engine of the manager \`${name}\` has stopped: ${messageOf(error)}`, { cause: error });
      this.#settleFailed(this.#fault);
    };
    const onHandover = (name: string): void => {
      this.#handedOver.add(name);
      if (this.#handedOver.size === this.#config.managers.length) this.#settleHandedOver(undefined);
    };
    try {
      return await RunningManager.start(settings, { logger, registry, metrics, events: this.#events, onFailed, onHandover });
    } catch (cause) {
      const message = `The manager \`${settings.name}\` does not start: ${messageOf(cause)}`;
      throw new LivenessError(codeOf(cause) ?? 'ERR_INTERNAL', message, { cause });
    }
  }

  async #reloadAll(): Promise<void> {
    await this.#reloadOnce();
    this.#reloading = undefined;
    if (!this.#reloadsAgain) return;
    this.#reloadsAgain = false;
    await this.reload();
  }

  async #reloadOnce(): Promise<void> {
    if (this.#phase !== 'ready') return;
    const { logger, notify } = this.#options;
    notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`);
    const at = new Date().toISOString();
    try {
      const { added, removed, changed } = await this.#apply(this.#options.reread());
      this.#events.push({ type: 'reload', at, ok: true, added, removed, changed, error: null });
      logger.info({ file: this.#config.file, added, removed, changed }, `reloaded: ${added} added, ${removed} removed, ${changed} changed`);
    } catch (error) {
      const message = messageOf(error);
      this.#events.push({ type: 'reload', at, ok: false, added: 0, removed: 0, changed: 0, error: message });
      logger.error({ file: this.#config.file, code: codeOf(error) }, `nothing was reloaded: ${message}`);
    }
    this.#service.forget();
    notify(`READY=1\nSTATUS=${summaryOf(this.#config)}`);
  }

  /** All managers or none: where one refuses, the others get back what they had. */
  async #apply(config: AgentConfig): Promise<Totals> {
    const fields = restartFields(this.#config, config);
    if (fields.length > 0) throw new LivenessError('ERR_RESTART_NEEDED', `a change of ${fields.join(', ')} needs a restart of the agent`);
    const steps = this.#managers.map((manager) => {
      const settings = config.managers.find(({ name }) => name === manager.name) ?? manager.settings;
      return { manager, reload: manager.planReload(settings) };
    });
    await this.#registerAll(steps);
    for (const { manager, reload } of steps) await manager.finish(reload);
    for (const issue of config.warnings) this.#options.logger.warn({}, formatIssue(config.file, issue));
    this.#options.logger.level = config.logLevel;
    this.#config = config;
    return totalsOf(steps.map(({ reload }) => reload.plan));
  }

  async #registerAll(steps: readonly Step[]): Promise<void> {
    const done: Step[] = [];
    try {
      for (const step of steps) {
        await step.manager.register(step.reload);
        done.push(step);
      }
    } catch (error) {
      for (const step of done) await step.manager.restore(step.reload.back);
      throw error;
    }
  }

  async #close(): Promise<void> {
    const { logger, notify } = this.#options;
    this.#phase = 'closing';
    notify('STOPPING=1');
    logger.info({}, 'closing');
    await this.#closeAll();
  }

  /** The API answers until the managers are closed. */
  async #closeAll(how?: { adminDown: boolean; withdrawRoutes: boolean }): Promise<void> {
    this.#phase = 'closing';
    this.#supervisor?.close();
    const outcomes = await Promise.allSettled(this.#managers.map((manager) => manager.close(how)));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        this.#options.logger.error({ err: toError(outcome.reason) }, `a manager did not close: ${messageOf(outcome.reason)}`);
      }
    }
    await Promise.all(this.#servers.map((server) => server.close()));
  }
}

/** A reload of one manager. */
interface Step {
  readonly manager: RunningManager;
  readonly reload: Reload;
}

type Totals = Pick<ReloadPlan, 'added' | 'removed' | 'changed'>;

function totalsOf(plans: readonly Totals[]): Totals {
  const sum = (name: keyof Totals): number => plans.reduce((total, plan) => total + plan[name], 0);
  return { added: sum('added'), removed: sum('removed'), changed: sum('changed') };
}

/** `2 managers, 1000 routes, 3 sessions without routes` */
export function summaryOf({ managers }: AgentConfig): string {
  const count = (number: number, one: string): string => `${number} ${number === 1 ? one : `${one}s`}`;
  const routes = managers.reduce((sum, manager) => sum + manager.routes.length, 0);
  const sessions = managers.reduce((sum, manager) => sum + manager.sessions.length, 0);
  const alone = sessions === 0 ? [] : [`${count(sessions, 'session')} without a route`];
  return [count(managers.length, 'manager'), count(routes, 'route'), ...alone].join(', ');
}
