/** FRR's bfdd on a host of a lab, with the zebra that it asks about interfaces. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '../netns/command.js';
import type { Host, Lab } from '../netns/lab.js';
import type { BfdPath } from './paths.js';
import type { DaemonSession, Neighbours, PeerDaemon } from './peer-daemon.js';
import { until } from './until.js';

/** Where Debian's package has the daemons. */
const DAEMONS = '/usr/lib/frr';

interface Peer {
  readonly peer: string;
  readonly status: string;
  readonly diagnostic: string;
  readonly 'remote-diagnostic': string;
  readonly 'transmit-interval': number;
  readonly 'receive-interval': number;
  readonly 'remote-transmit-interval': number;
  readonly 'remote-detect-multiplier': number;
}

export class Frr implements PeerDaemon {
  readonly name = 'FRR';
  readonly admin = {
    down: (): void => this.#configureAll(['shutdown']),
    up: (): void => this.#configureAll(['no shutdown']),
  };
  readonly #lab: Lab;
  readonly #host: Host;
  readonly #folder = mkdtempSync(join(tmpdir(), 'rl-frr-'));
  readonly #wrapper: readonly string[];
  #paths: readonly BfdPath[] = [];
  #zebra: ChildProcess | undefined;
  #bfdd: ChildProcess | undefined;

  constructor(lab: Lab, host: Host, wrapper: readonly string[] = []) {
    this.#lab = lab;
    this.#host = host;
    this.#wrapper = wrapper;
    // The daemons give up root, and write here.
    run('chown', ['frr:frr', this.#folder]);
    chmodSync(this.#folder, 0o755);
  }

  /** Of bfdd: zebra has nothing to do with packets. */
  get pids(): number[] {
    return [this.#bfdd?.pid ?? 0];
  }

  async start(neighbours: Neighbours): Promise<void> {
    if (neighbours.auth !== undefined) throw new Error('FRR 8.4 has no authentication');
    this.#paths = neighbours.paths;
    await this.startWith(`bfd\n${neighbours.paths.map((path) => this.#peer(path, neighbours)).join('')}exit\n`);
    // A passive session of FRR 8.4 that hears its peer before it has its socket stays in Init and sends nothing, for good.
    await until('each session of FRR to have its socket', () => this.#sessionSockets() >= neighbours.paths.length);
  }

  /** Starts it with the text of a configuration. */
  async startWith(text: string): Promise<void> {
    writeFileSync(this.#file('bfdd.conf'), text);
    writeFileSync(this.#file('zebra.conf'), 'hostname peer\n');
    if (this.#zebra === undefined) {
      this.#zebra = this.#spawn('zebra', ['-f', this.#file('zebra.conf')]);
      await this.#exists('zserv.api');
    }
    this.#bfdd = this.#spawn('bfdd', ['--bfdctl', this.#file('bfdd.sock'), '-f', this.#file('bfdd.conf')]);
    await this.#exists('bfdd.vty');
  }

  sessions(): DaemonSession[] {
    const peers = JSON.parse(this.#ask('show bfd peers json')) as Peer[];
    return peers.map((peer) => ({
      peer: peer.peer,
      state: peer.status,
      txInterval: Math.max(peer['transmit-interval'], 0),
      detectTime: peer['remote-detect-multiplier'] * Math.max(peer['receive-interval'], peer['remote-transmit-interval']),
      localDiag: peer.diagnostic,
      remoteDiag: peer['remote-diagnostic'],
    }));
  }

  change(neighbours: Neighbours): Promise<void> {
    this.#configureAll(timerLines(neighbours));
    return Promise.resolve();
  }

  async kill(): Promise<void> {
    await end(this.#bfdd);
    this.#bfdd = undefined;
    rmSync(this.#file('bfdd.vty'), { force: true });
  }

  async close(): Promise<void> {
    await this.kill();
    await end(this.#zebra);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #peer(path: BfdPath, neighbours: Neighbours): string {
    const lines = [...timerLines(neighbours), ...(neighbours.passive === true ? ['passive-mode'] : []), 'no shutdown'];
    return [` ${this.#selector(path)}`, ...lines.map((line) => `  ${line}`), ' exit', ''].join('\n');
  }

  /** BIRD and we send with another TTL than FRR expects of some peers: `minimum-ttl` is the floor of a multihop session. */
  #selector({ multihop, ours, theirs }: BfdPath): string {
    if (multihop) return `peer ${ours} multihop local-address ${theirs}`;
    return `peer ${ours}${ours.includes(':') ? ` local-address ${theirs}` : ''} interface ${this.#host.iface}`;
  }

  #configureAll(lines: readonly string[]): void {
    for (const path of this.#paths) this.#ask('configure terminal', 'bfd', this.#selector(path), ...lines);
  }

  #ask(...commands: string[]): string {
    return run('vtysh', ['--vty_socket', this.#folder, ...commands.flatMap((command) => ['-c', command])]);
  }

  #spawn(name: string, args: readonly string[]): ChildProcess {
    const own = ['-u', 'frr', '-g', 'frr', '-z', this.#file('zserv.api'), '-i', this.#file(`${name}.pid`), '--vty_socket', this.#folder];
    const command = [...this.#wrapper, join(DAEMONS, name), ...own, '--log', 'file:/dev/null', ...args];
    return this.#lab.spawn(this.#host, 'env', command);
  }

  async #exists(name: string): Promise<void> {
    for (let round = 0; round < 200; round += 1) {
      if (existsSync(this.#file(name))) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`FRR did not make ${name}`);
  }

  /** A session sends from a port of its own (RFC 5881 §4). */
  #sessionSockets(): number {
    const lines = ['udp', 'udp6'].flatMap((file) =>
      readFileSync(`/proc/${this.pids[0]}/net/${file}`, 'utf8').trimEnd().split('\n').slice(1),
    );
    return lines.filter((line) => parseInt(/:([\dA-F]{4}) /.exec(line)?.[1] ?? '', 16) >= 49_152).length;
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}

function timerLines({ timers: { tx, rx, multiplier } }: Neighbours): string[] {
  return [`transmit-interval ${tx}`, `receive-interval ${rx}`, `detect-multiplier ${multiplier}`];
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
