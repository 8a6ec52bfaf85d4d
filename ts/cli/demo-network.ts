/** The network of the demo: two hosts, and a path between them that can be cut. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

export interface DemoNetwork {
  readonly description: string;
  readonly hosts: readonly [DemoHost, DemoHost];
  /** How the path is cut, in words. */
  readonly cutBy: string;
  /** Starts a program on a host. */
  spawn(host: DemoHost, program: readonly string[]): ChildProcess;
  /** The routes of protocol `bgp` in the host's kernel; `undefined` if routes are in memory. */
  table(host: DemoHost): string | undefined;
  cut(peer: ChildProcess): void;
  heal(peer: ChildProcess): void;
  close(): void;
}

export interface DemoHost {
  readonly name: string;
  readonly iface: string;
  readonly address: string;
  /** The prefix that the other host has a route to. */
  readonly prefix: string;
  readonly backend: 'netlink' | 'memory';
}

/** Two network namespaces for root on Linux, else two loopback addresses. */
export function createDemoNetwork(): DemoNetwork {
  const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
  if (!isRoot) return new LoopbackNetwork('not root');
  if (!works('ip', ['-V'])) return new LoopbackNetwork('`ip` is missing (package iproute2)');
  try {
    return new NamespaceNetwork();
  } catch (error) {
    return new LoopbackNetwork(error instanceof Error ? error.message : String(error));
  }
}

class NamespaceNetwork implements DemoNetwork {
  readonly description = 'two network namespaces joined by a virtual cable, with the kernel’s routing tables';
  readonly hosts: readonly [DemoHost, DemoHost];
  readonly #canDrop: boolean;

  constructor() {
    const host = (number: number): DemoHost => ({
      name: `rl-demo-${process.pid}-${number}`,
      iface: `veth${number}`,
      address: `10.201.7.${number}`,
      prefix: `10.9.7.${number}/32`,
      backend: 'netlink',
    });
    const [first, second] = (this.hosts = [host(1), host(2)]);
    try {
      for (const { name } of this.hosts) run('ip', ['netns', 'add', name]);
      run('ip', ['link', 'add', first.iface, 'netns', first.name, 'type', 'veth', 'peer', 'name', second.iface, 'netns', second.name]);
      for (const { name, iface, address } of this.hosts) {
        run('ip', ['-n', name, 'addr', 'add', `${address}/24`, 'dev', iface]);
        run('ip', ['-n', name, 'link', 'set', iface, 'up']);
      }
      this.#canDrop = this.#makeRoomForRule();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get cutBy(): string {
    return this.#canDrop ? 'host 1 drops what host 2 sends' : 'host 2 is paused (this kernel has no routing rules for UDP ports)';
  }

  spawn(host: DemoHost, [command = '', ...args]: readonly string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', host.name, command, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  table(host: DemoHost): string {
    return run('ip', ['-n', host.name, 'route', 'show', 'proto', 'bgp']).trim();
  }

  cut(peer: ChildProcess): void {
    if (this.#canDrop) this.#rule('add');
    else peer.kill('SIGSTOP');
  }

  heal(peer: ChildProcess): void {
    if (this.#canDrop) this.#rule('del');
    else peer.kill('SIGCONT');
  }

  /**
   * The table of local addresses has the lowest preference, 0, which the rule of a cut needs: moves the table to preference 1.
   * Returns whether this kernel accepts such a rule.
   */
  #makeRoomForRule(): boolean {
    const [{ name }] = this.hosts;
    run('ip', ['-n', name, 'rule', 'add', 'pref', '1', 'lookup', 'local']);
    run('ip', ['-n', name, 'rule', 'del', 'pref', '0']);
    try {
      this.#rule('add');
      this.#rule('del');
      return true;
    } catch {
      return false;
    }
  }

  /** Adds or deletes a routing rule that drops the liveness packets that arrive at host 1. It needs no program but `ip`. */
  #rule(command: 'add' | 'del'): void {
    const [{ name, iface }] = this.hosts;
    run('ip', ['-n', name, 'rule', command, 'pref', '0', 'iif', iface, 'ipproto', 'udp', 'dport', '44880', 'blackhole']);
  }

  close(): void {
    for (const { name } of this.hosts) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  }
}

class LoopbackNetwork implements DemoNetwork {
  readonly description: string;
  readonly hosts: readonly [DemoHost, DemoHost];
  readonly cutBy = 'host 2 is paused';

  constructor(why: string) {
    this.description = `two loopback addresses, with routing tables in memory (${why}; as root the demo uses the kernel’s)`;
    const iface = process.platform === 'linux' ? 'lo' : 'lo0';
    const host = (number: number): DemoHost => ({
      name: `host ${number}`,
      iface,
      address: `127.0.7.${number}`,
      prefix: `10.9.7.${number}/32`,
      backend: 'memory',
    });
    this.hosts = [host(1), host(2)];
  }

  spawn(_: DemoHost, [command = '', ...args]: readonly string[]): ChildProcess {
    return spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  table(): undefined {
    return undefined;
  }

  cut(peer: ChildProcess): void {
    peer.kill('SIGSTOP');
  }

  heal(peer: ChildProcess): void {
    peer.kill('SIGCONT');
  }

  close(): void {
    // Nothing was created.
  }
}

function works(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function run(command: string, args: readonly string[], input = ''): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' });
  if (error !== undefined || status !== 0) throw new Error(`\`${command} ${args.join(' ')}\` failed: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
