/** Agents as daemons between two hosts, as an operator has them: a configuration file, a control socket, the command line. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { SessionJson } from '../../ts/agent/control-api.js';
import { ControlClient } from '../../ts/cli/control-client.js';
import { run } from '../netns/command.js';
import { type Host, Lab } from '../netns/lab.js';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const PATIENCE_MS = 30_000;

/** What a command of the command line ended with. */
export interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An agent on a host. */
export class Daemon {
  readonly host: Host;
  readonly socket: string;
  readonly client: ControlClient;
  /** The lines of its log. */
  readonly log: string[] = [];
  readonly #child: ChildProcess;

  constructor(
    lab: Lab,
    host: Host,
    { folder, name, listen, config }: { folder: string; name: string; listen: string | undefined; config: object },
  ) {
    this.host = host;
    this.socket = join(folder, name);
    this.client = new ControlClient({ socket: this.socket });
    const file = join(folder, `${host.name}.json`);
    writeFileSync(file, JSON.stringify({ control: { socket: this.socket, listen }, ...config }));
    this.#child = lab.spawn(host, process.execPath, [CLI, 'agent', '--config', file]);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.log.push(text));
  }

  /** Runs a command that asks this agent, to its end. */
  ask(command: string, ...args: string[]): Told {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, command, '--socket', this.socket, ...args], { encoding: 'utf8' });
    return { code: status, stdout, stderr };
  }

  /** The sessions, once they fit. */
  async until(fits: (sessions: readonly SessionJson[]) => boolean): Promise<readonly SessionJson[]> {
    const deadline = Date.now() + PATIENCE_MS;
    let last: unknown;
    while (Date.now() < deadline) {
      try {
        const { sessions } = await this.client.sessions();
        if (fits(sessions)) return sessions;
        last = sessions.map(({ peer_ip, liveness_status, reason }) => ({ peer_ip, liveness_status, reason }));
      } catch (error) {
        last = String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the agent on ${this.host.name} has ${JSON.stringify(last)}; its log:\n${this.log.join('')}`);
  }

  /** Sends an object to the control API. @throws Error with what it refuses */
  post(path: string, body: object): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const asked = request({ socketPath: this.socket, path, method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => {
          if (response.statusCode === 200) resolve();
          else reject(new Error(`${path}: ${response.statusCode ?? 0} ${text}`));
        });
      });
      asked.once('error', reject).end(JSON.stringify(body));
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null) return this.#child.exitCode;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code] = (await gone) as [number | null];
    return code;
  }
}

interface Changes {
  /** More fields of the manager. */
  readonly manager?: object;
  readonly metrics?: object;
  /** An address of the control API beside its socket. */
  readonly listen?: string;
  readonly others?: readonly object[];
}

/** Many sessions between two hosts: host two has an address for each. */
export class OperatorLab {
  readonly lab: Lab;
  readonly peers: readonly string[];
  readonly folder = mkdtempSync(join(tmpdir(), 'rl-operator-'));
  readonly #daemons: Daemon[] = [];
  readonly #gates: Gate[] = [];

  constructor(sessions: number) {
    this.lab = new Lab();
    this.peers = Array.from({ length: sessions }, (_, index) => `10.201.0.${11 + index}`);
    const { two } = this.lab;
    for (const address of this.peers) this.lab.addAddress(two, address, 24);
  }

  /** Host one watches all peers, and a route through each; `extra` are routes beside these, `others` managers. */
  watcher({ extra = [], ...changes }: Changes & { readonly extra?: readonly object[] } = {}): Daemon {
    const { one } = this.lab;
    const routes = this.peers.map((peer, index) => ({
      iface: one.iface,
      dst: `10.9.0.${index + 1}/32`,
      src: one.address,
      nextHop: peer,
      peerIP: peer,
    }));
    return this.#start(one, { bindIP: one.address, routes: [...routes, ...extra] }, changes);
  }

  /** Host two answers to each session. */
  answerer(changes: Changes = {}): Daemon {
    const { one, two } = this.lab;
    const sessions = this.peers.map((peer) => ({ iface: two.iface, localIP: peer, peerIP: one.address }));
    return this.#start(two, { bindIP: '0.0.0.0', sessions }, changes);
  }

  /** What a peer sends goes no further. */
  cut(peer: string): void {
    this.#nft(`table inet ${tableOf(peer)} { chain out { type filter hook output priority 0; ip saddr ${peer} udp dport 44880 drop; }; }`);
  }

  /** What speaks BFD on host two is not heard any more. */
  cutBfd(): void {
    this.#nft('table inet cut_bfd { chain out { type filter hook output priority 0; udp dport 3784 drop; }; }');
  }

  heal(peer: string): void {
    this.#nft(`delete table inet ${tableOf(peer)}`);
  }

  /** An address of loopback that leads to the control socket of an agent: for programs that know no unix sockets. */
  async gate(daemon: Daemon): Promise<string> {
    const gate = await Gate.open(daemon.socket);
    this.#gates.push(gate);
    return `127.0.0.1:${gate.port}`;
  }

  async close(): Promise<void> {
    for (const gate of this.#gates) gate.close();
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
    this.lab.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(host: Host, manager: object, { metrics = {}, others = [], listen, manager: more = {} }: Changes): Daemon {
    const timers = { default: { txMin: 100, rxMin: 100, detectMult: 3 } };
    const config = { metrics, timers, managers: [{ name: 'fabric', ...manager, ...more }, ...others] };
    const daemon = new Daemon(this.lab, host, {
      folder: this.folder,
      name: host === this.lab.one ? 'control.sock' : 'other.sock',
      listen,
      config,
    });
    this.#daemons.push(daemon);
    return daemon;
  }

  #nft(text: string): void {
    run('ip', ['netns', 'exec', this.lab.two.name, 'nft', '-f', '-'], `${text}\n`);
  }
}

const tableOf = (peer: string): string => `cut_${peer.replaceAll('.', '_')}`;

class Gate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(path: string) {
    this.#server = createServer((from) => {
      const to = connect(path);
      for (const [socket, other] of [
        [from, to],
        [to, from],
      ] as const) {
        this.#sockets.add(socket);
        socket.pipe(other);
        // One end that breaks ends the other, as it would without a gate.
        socket
          .once('error', () => other.destroy())
          .once('close', () => {
            this.#sockets.delete(socket);
            other.destroy();
          });
      }
    });
  }

  static async open(path: string): Promise<Gate> {
    const gate = new Gate(path);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
