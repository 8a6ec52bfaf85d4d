/** Commands of the system, run to their end. */
import { spawnSync } from 'node:child_process';

/** Runs a command and gives what it printed. @throws Error with what it said where it failed */
export function run(command: string, args: readonly string[], input = ''): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' });
  if (error !== undefined) throw new Error(`${command} cannot be run (${error.message}): ${packageOf(command)}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Runs a command that may fail. */
export function attempt(command: string, args: readonly string[]): void {
  spawnSync(command, args, { stdio: 'ignore' });
}

function packageOf(command: string): string {
  const packages: Record<string, string> = { ip: 'iproute2', nft: 'nftables', tcpdump: 'tcpdump', setpriv: 'util-linux' };
  return `install the package ${packages[command] ?? command}`;
}
