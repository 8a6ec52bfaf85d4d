/** BIRD on a host of a lab, with nothing but BFD. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '../netns/command.js';
import type { Host, Lab } from '../netns/lab.js';
import type { BfdPath } from './paths.js';
import type { DaemonSession, Neighbours, PeerDaemon, Timers } from './peer-daemon.js';

/** How BIRD names the authentication types. */
const AUTHENTICATION: Readonly<Record<string, string>> = {
  simple: 'simple',
  md5: 'keyed md5',
  'meticulous-md5': 'meticulous keyed md5',
  sha1: 'keyed sha1',
  'meticulous-sha1': 'meticulous keyed sha1',
};

/** What BIRD listens for: everything by default, or only on the port of multihop sessions. */
export type Accepted = 'all' | 'multihop';

export class Bird implements PeerDaemon {
  readonly name = 'BIRD';
  readonly #lab: Lab;
  readonly #host: Host;
  readonly #folder = mkdtempSync(join(tmpdir(), 'rl-bird-'));
  readonly #command: readonly string[];
  readonly #accepted: Accepted;
  #child: ChildProcess | undefined;

  constructor(lab: Lab, host: Host, wrapper: readonly string[] = [], accepted: Accepted = 'all') {
    this.#accepted = accepted;
    this.#lab = lab;
    this.#host = host;
    this.#command = [...wrapper, 'bird'];
  }

  get pids(): number[] {
    return [this.#child?.pid ?? 0];
  }

  async start(neighbours: Neighbours): Promise<void> {
    await this.startWith(this.#textOf(neighbours));
  }

  /** Starts it with the text of a configuration. */
  async startWith(text: string): Promise<void> {
    writeFileSync(this.#file('bird.conf'), text);
    const files = ['-c', this.#file('bird.conf'), '-s', this.#file('bird.ctl'), '-P', this.#file('bird.pid')];
    this.#child = this.#lab.spawn(this.#host, 'env', [...this.#command, '-f', ...files]);
    for (let round = 0; round < 100; round += 1) {
      if (this.#answers()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('BIRD did not start');
  }

  sessions(): DaemonSession[] {
    const lines = this.#ask('show', 'bfd', 'sessions').split('\n');
    return lines.flatMap((line) => {
      const [peer = '', , state = '', , interval, timeout] = line.trim().split(/\s+/);
      if (!/^[0-9a-f.:]+$/.test(peer) || timeout === undefined) return [];
      return [{ peer, state: state.toLowerCase(), txInterval: Number(interval) * 1_000, detectTime: Number(timeout) * 1_000 }];
    });
  }

  change(neighbours: Neighbours): Promise<void> {
    writeFileSync(this.#file('bird.conf'), this.#textOf(neighbours));
    this.#ask('configure');
    return Promise.resolve();
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
    this.#child = undefined;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #textOf({ paths, timers, auth, passive = false }: Neighbours): string {
    const { iface } = this.#host;
    const options = [...timersOf(timers), ...(passive ? ['passive yes;'] : [])];
    if (auth !== undefined) {
      options.push(`authentication ${AUTHENTICATION[auth.type] ?? ''};`);
      for (const { id, key } of auth.keys) options.push(`password "${key}" { id ${id}; };`);
    }
    const neighbour = ({ multihop, theirs, ours }: BfdPath): string => {
      return `  neighbor ${ours}${multihop ? '' : ` dev "${iface}"`} local ${theirs}${multihop ? ' multihop yes' : ''};`;
    };
    const text = [
      'log stderr { warning, error, fatal, bug };',
      'router id 192.0.2.2;',
      'protocol device { scan time 1; }',
      'protocol bfd bfd1 {',
      ...(this.#accepted === 'all' ? [] : [`  accept ${this.#accepted};`]),
      `  interface "${iface}" { ${options.join(' ')} };`,
      `  multihop { ${options.join(' ')} };`,
      ...paths.map(neighbour),
      '}',
    ];
    return `${text.join('\n')}\n`;
  }

  #answers(): boolean {
    try {
      return this.#ask('show', 'status').includes('Daemon is up');
    } catch {
      // It has not made its socket yet.
      return false;
    }
  }

  #ask(...words: string[]): string {
    return run('birdc', ['-s', this.#file('bird.ctl'), ...words]);
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}

function timersOf({ tx, rx, multiplier }: Timers): string[] {
  return [`min tx interval ${tx} ms;`, `min rx interval ${rx} ms;`, 'idle tx interval 1 s;', `multiplier ${multiplier};`];
}
