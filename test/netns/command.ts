/** Commands of the system, run to their end. */
import { spawnSync } from 'node:child_process';

import { packageOf } from './needs.js';

/** A listing of some 10 000 routes has more than the mebibyte that Node allows by itself. */
const MOST_PRINTED = 64 << 20;

/** Runs a command and gives what it printed. @throws Error with what it said where it failed */
export function run(command: string, args: readonly string[], input = ''): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8', maxBuffer: MOST_PRINTED });
  if (error !== undefined) throw new Error(`${command} cannot be run (${error.message}): install the package ${packageOf(command)}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Runs a command that may fail. */
export function attempt(command: string, args: readonly string[]): void {
  spawnSync(command, args, { stdio: 'ignore' });
}
