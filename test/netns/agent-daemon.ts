/** `route-liveness agent` on a host of the lab, with its file and its control socket in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent as Connections, type ClientRequest, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { expect, vi } from 'vitest';

import type { AgentEvent, RoutesAnswer, SessionsAnswer } from '../../ts/agent/control-api.js';
import type { Host, Lab } from './lab.js';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** How long a test waits for what has to happen some time. */
export const PATIENCE = { timeout: 30_000, interval: 50 };

export interface DaemonReply {
  readonly status: number;
  readonly text: string;
}

export class AgentDaemon {
  readonly folder: string;
  readonly child: ChildProcess;
  /** The texts of the log. */
  readonly log: string[] = [];
  /** Resolves with the exit status, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  readonly #connections = new Connections({ keepAlive: true, maxSockets: 8 });

  /**
   * @param file with `FOLDER` where the folder's path is to be
   * @param where a host of a lab, or none: then the agent runs as this process does
   */
  constructor(file: string, where?: { lab: Lab; host: Host }, env: Record<string, string> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'rl-agent-'));
    this.rewrite(file);
    const args = [CLI, 'agent', '--config', this.file];
    this.child =
      where === undefined
        ? spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } })
        : where.lab.spawn(where.host, process.execPath, args, env);
    const { stdout } = this.child;
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.log.push((JSON.parse(line) as { msg: string }).msg));
    // Not 'exit', behind which the last lines of the log may still come.
    this.ended = once(this.child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  }

  /** An agent that is ready. */
  static async start(file: string, where?: { lab: Lab; host: Host }, env: Record<string, string> = {}): Promise<AgentDaemon> {
    const daemon = new AgentDaemon(file, where, env);
    await vi.waitFor(() => expect(daemon.log.find((text) => text.startsWith('ready: '))).toBeDefined(), PATIENCE);
    return daemon;
  }

  get file(): string {
    return join(this.folder, 'agent.yaml');
  }

  get socket(): string {
    return join(this.folder, 'control.sock');
  }

  rewrite(file: string): void {
    writeFileSync(this.file, file.replaceAll('FOLDER', this.folder));
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async ask(path: string, method = 'GET', body?: unknown): Promise<DaemonReply> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': `${Buffer.byteLength(text)}` };
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.socket, path, method, headers, agent: this.#connections }, (response) => {
        let heard = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (heard += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: heard }));
      });
      sent.on('error', reject);
      sent.end(text);
    });
  }

  async sessions(query = ''): Promise<SessionsAnswer['sessions']> {
    return (JSON.parse((await this.ask(`/sessions${query}`)).text) as SessionsAnswer).sessions;
  }

  async routes(query = ''): Promise<RoutesAnswer['routes']> {
    return (JSON.parse((await this.ask(`/routes${query}`)).text) as RoutesAnswer).routes;
  }

  /** Everything that happens from now on, until the end of the test or of the agent. */
  events(): { readonly seen: AgentEvent[]; readonly request: ClientRequest } {
    const seen: AgentEvent[] = [];
    const sent = request({ socketPath: this.socket, path: '/events', agent: false }, (response) => {
      // It ends when the test ends it.
      response.on('error', () => undefined);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const lines = (text + chunk).split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) if (line.startsWith('data: ')) seen.push(JSON.parse(line.slice(6)) as AgentEvent);
      });
    });
    sent.on('error', () => undefined);
    sent.end();
    return { seen, request: sent };
  }

  /** Ends the agent, whatever it is doing. */
  async close(): Promise<void> {
    this.#connections.destroy();
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await this.ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
