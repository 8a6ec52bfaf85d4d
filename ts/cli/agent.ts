/** `route-liveness agent`: the daemon. */
import { parseArgs } from 'node:util';

import pino from 'pino';

import { Agent, summaryOf } from '../agent/agent.js';
import { AgentLogger } from '../agent/agent-logger.js';
import { type AgentConfig, readAgentConfig } from '../agent/config/agent-config.js';
import { ConfigFileError, formatIssue } from '../agent/config/issues.js';
import { pageAnswer } from '../agent/http/page.js';
import type { StaticAnswers } from '../agent/http/operations.js';
import { watchdogOf } from '../agent/supervisor.js';
import { codeOf, messageOf, toError } from '../base/errors.js';
import { notifySystemd } from '../engine/systemd.js';
import { promClient } from '../metrics/prom-client.js';
import { packageFile } from './package-files.js';

const HELP = `route-liveness agent: keeps the sessions and routes of a configuration file

Usage:
  route-liveness agent --config FILE           run until SIGTERM or SIGINT; a second one ends at once
  route-liveness agent --config FILE --check   only check the file; what this host lacks is a warning

FILE is JSON where its name ends in .json, else YAML: see docs/agent.md and examples/agent.yaml of the package.

SIGHUP reads the file again: what stays in it is not touched, and a file with a fault changes nothing.

Exit status: 0 ended as asked, or the file has no fault; 1 failure, or the file has faults; 2 wrong usage.
`;

/** Runs the agent. Returns the exit status. */
export async function agent(args: readonly string[]): Promise<number> {
  const given = parsedArguments(args);
  if (typeof given === 'string') {
    process.stderr.write(`${given}\n\n${HELP}`);
    return 2;
  }
  if (given.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const config = readConfig(given.config, given.check);
  if (config === undefined) return 1;
  return given.check ? reportCheck(config) : run(config);
}

interface Arguments {
  readonly config: string;
  readonly check: boolean;
  readonly help: boolean;
}

/** The arguments, or what is wrong with them. */
function parsedArguments(args: readonly string[]): Arguments | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', short: 'c' }, check: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    const { config, check = false, help = false } = values;
    if (config === undefined && !help) return 'The agent needs --config FILE.';
    return { config: config ?? '', check, help };
  } catch (error) {
    return messageOf(error);
  }
}

/** The configuration; `undefined` with faults, which are told. */
function readConfig(file: string, onlyCheck: boolean): AgentConfig | undefined {
  try {
    return readAgentConfig(file, { hostFaults: onlyCheck ? 'warning' : 'fault' });
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    const count = error.issues.length === 1 ? '1 fault' : `${error.issues.length} faults`;
    process.stderr.write(`${error.message}\n${count}${onlyCheck ? '' : ', nothing was started'}\n`);
    return undefined;
  }
}

function reportCheck(config: AgentConfig): number {
  for (const issue of config.warnings) process.stderr.write(`warning: ${formatIssue(config.file, issue)}\n`);
  process.stdout.write(`${config.file}: no fault; ${summaryOf(config)}\n`);
  return 0;
}

async function run(config: AgentConfig): Promise<number> {
  const formatters = { level: (level: string) => ({ level }) };
  // Else libuv's threads write the lines, later, and the last ones before a process dies are lost.
  const output = pino.destination({ dest: process.stdout.fd, sync: true });
  const lines = pino({ level: 'trace', base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime, formatters }, output);
  const logger = new AgentLogger(lines, config.logLevel);
  const signals = new Signals(logger);
  try {
    const { Registry } = promClient();
    const agent = await Agent.start({
      config,
      reread: () => readAgentConfig(config.file),
      logger,
      registry: new Registry(),
      answers: staticAnswers(),
      notify: systemdNotifier(logger),
      watchdog: watchdogOf(process.env),
    });
    signals.agent = agent;
    const fault = await Promise.race([signals.ended, agent.failed, agent.handedOver]);
    if (fault !== undefined) logger.error({ err: fault }, messageOf(fault));
    await agent.close();
    return fault === undefined ? 0 : 1;
  } catch (error) {
    // A stack tells an operator nothing where the code and the message say what is wrong.
    const code = codeOf(error);
    logger.error(code === undefined ? { err: toError(error) } : { code }, `the agent does not start: ${messageOf(error)}`);
    return 1;
  }
}

/** The signals to an agent, from before it starts: one that it does not handle would end it. */
class Signals {
  /** Resolves at the first SIGTERM or SIGINT. */
  readonly ended: Promise<undefined>;
  agent: Agent | undefined;
  readonly #logger: AgentLogger;

  constructor(logger: AgentLogger) {
    this.#logger = logger;
    process.on('SIGHUP', () => void this.agent?.reload());
    this.ended = new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.once(signal, () => {
          resolve(undefined);
          for (const second of ['SIGTERM', 'SIGINT'] as const) process.once(second, () => this.#endAtOnce(second));
        });
      }
    });
  }

  /** As if nobody handled the signal: `process.exit` would wait for the threads, which still tell their peers. */
  #endAtOnce(signal: NodeJS.Signals): void {
    this.#logger.warn({ signal }, 'a second signal: ending at once, routes that are installed stay in the kernel, unwatched');
    this.agent?.abandon();
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  }
}

/** Tells systemd, and the log once if systemd waits for that and cannot be told. */
function systemdNotifier(logger: AgentLogger): (state: string) => boolean {
  let hasWarned = process.env['NOTIFY_SOCKET'] === undefined;
  const warn = (why: string): false => {
    if (!hasWarned) logger.warn({}, `systemd cannot be told how the agent is: ${why}`);
    hasWarned = true;
    return false;
  };
  return (state) => {
    try {
      return notifySystemd(state) || warn('that takes the addon, which is not loaded');
    } catch (error) {
      return warn(messageOf(error));
    }
  };
}

function staticAnswers(): StaticAnswers {
  const openApi = { status: 200, type: 'application/yaml; charset=utf-8', body: packageFile('docs', 'openapi.yaml') };
  return { page: pageAnswer(packageFile('dist', 'page.html')), openApi };
}
