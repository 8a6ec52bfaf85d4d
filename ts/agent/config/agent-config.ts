/** The configuration of the agent: a file, checked as a whole. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import * as v from 'valibot';

import { messageOf } from '../../base/errors.js';
import { choice, object } from '../../base/fields.js';
import { AuthGroups } from './auth-groups.js';
import { type ControlSettings, readControl } from './control-section.js';
import { checkedSection, listOf } from './section.js';
import { checkHost, type HostFaults } from './host-check.js';
import { ConfigFileError, Issues } from './issues.js';
import { type ManagerSettings, ManagerSections } from './manager-section.js';
import { type MetricsSettings, readMetrics } from './metrics-section.js';
import { type FileIssue, parseSource } from './source-file.js';
import { TimerGroups } from './timer-groups.js';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** A configuration without faults. */
export interface AgentConfig {
  /** The path of the file. */
  readonly file: string;
  readonly logLevel: LogLevel;
  readonly control: ControlSettings;
  readonly metrics: MetricsSettings;
  readonly managers: readonly ManagerSettings[];
  /** What is allowed, and probably not meant. */
  readonly warnings: readonly FileIssue[];
}

const SCHEMA = object({
  log: v.optional(v.unknown()),
  control: v.optional(v.unknown()),
  metrics: v.optional(v.unknown()),
  timers: v.optional(v.unknown()),
  auth: v.optional(v.unknown()),
  managers: v.optional(v.unknown()),
});

const LOG_SCHEMA = object({ level: v.optional(choice(LOG_LEVELS)) });

/** What a configuration is read with. */
export interface ReadOptions {
  /** The environment's variables, for keys. Default: those of the process. */
  readonly env?: NodeJS.ProcessEnv;
  /**
   * What interfaces and addresses that this host does not have are: faults where the agent starts, warnings where a file is only
   * checked, since it may be meant for another host. Default: `fault`.
   */
  readonly hostFaults?: HostFaults;
}

/**
 * Reads a configuration file.
 *
 * @throws ConfigFileError `ERR_CONFIG`, with every fault at once
 */
export function readAgentConfig(file: string, { env = process.env, hostFaults = 'fault' }: ReadOptions = {}): AgentConfig {
  const source = parseSource(file, textOf(file));
  if (source.issues.length > 0) throw new ConfigFileError(file, source.issues);
  const issues = new Issues(source);
  const sections = checkedSection(SCHEMA, source.value, [], issues);
  const { level = 'info' } = checkedSection(LOG_SCHEMA, sections['log'], ['log'], issues);
  const control = readControl(sections['control'], issues);
  const metrics = readMetrics(sections['metrics'], issues);
  const timers = new TimerGroups(sections['timers'], issues);
  const auth = new AuthGroups(sections['auth'], { folder: dirname(resolve(file)), env, issues });
  const managers = new ManagerSections({ timers, auth, issues }).read(listOf(sections['managers'], ['managers'], issues));
  if (managers.length === 0 && issues.found.length === 0) issues.add(['managers'], 'Expected `managers` to have at least one manager');
  checkHost(managers, issues, hostFaults);
  if (issues.found.length > 0) throw new ConfigFileError(file, issues.found);
  return Object.freeze({ file, logLevel: level, control, metrics, managers, warnings: issues.warnings });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigFileError(file, [{ path: '', message: `The file cannot be read: ${messageOf(cause)}`, place: undefined }], { cause });
  }
}
