/** An agent in this process: its sessions on loopback addresses, its routes in memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import pino from 'pino';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';

import { Agent } from '../../ts/agent/agent.js';
import { AgentLogger } from '../../ts/agent/agent-logger.js';
import { readAgentConfig } from '../../ts/agent/config/agent-config.js';
import { pageAnswer } from '../../ts/agent/http/page.js';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}

export interface AskOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** Where a request goes. */
export type Target = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export class TestAgent {
  readonly agent: Agent;
  readonly folder: string;
  readonly lines: Record<string, unknown>[];
  readonly told: string[];

  private constructor(agent: Agent, folder: string, lines: Record<string, unknown>[], told: string[]) {
    this.agent = agent;
    this.folder = folder;
    this.lines = lines;
    this.told = told;
  }

  /** Starts an agent, which ends with its test. @param sections of the file, beside those that every file here has */
  static async start(sections: string, { watchdog }: { watchdog?: number } = {}): Promise<TestAgent> {
    const folder = temporaryFolder();
    const file = join(folder, 'agent.yaml');
    writeFileSync(file, sections.replaceAll('FOLDER', folder));
    const lines: Record<string, unknown>[] = [];
    const told: string[] = [];
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
    const agent = await Agent.start({
      config: readAgentConfig(file),
      reread: () => readAgentConfig(file),
      logger: new AgentLogger(pino({ level: 'trace' }, { write }), 'info'),
      registry: new Registry(),
      answers: {
        page: pageAnswer('<!doctype html><style>a{}</style><script>1</script>'),
        openApi: { status: 200, type: 'application/yaml', body: 'openapi: 3.1.0' },
      },
      notify: (state) => {
        told.push(state);
        return true;
      },
      watchdog,
    });
    onTestFinished(() => agent.close());
    return new TestAgent(agent, folder, lines, told);
  }

  get socket(): string {
    return join(this.folder, 'control.sock');
  }

  rewrite(sections: string): void {
    writeFileSync(join(this.folder, 'agent.yaml'), sections.replaceAll('FOLDER', this.folder));
  }

  ask(path: string, options: AskOptions = {}): Promise<Reply> {
    return ask({ socketPath: this.socket }, path, options);
  }

  /** A request whose body is JSON. */
  post(path: string, body: unknown, method = 'POST'): Promise<Reply> {
    return this.ask(path, { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  }
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'route-liveness-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function ask(target: Target, path: string, { method = 'GET', body, headers = {} }: AskOptions = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    // Without a length Node sends the body of a DELETE as if it were another request.
    const length = typeof body === 'string' ? { 'Content-Length': `${Buffer.byteLength(body)}` } : {};
    const sent = request({ ...target, path, method, headers: { ...length, ...headers }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const isJson = response.headers['content-type']?.startsWith('application/json') === true;
        const json: unknown = isJson && text !== '' ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The sections of a file with one manager, its control socket in the agent's folder. */
export function fileWith(manager: string, more = ''): string {
  return `
control: { socket: FOLDER/control.sock }
timers:
  default: { txMin: 100, rxMin: 100, detectMult: 3 }
  slow: { txMin: 500, rxMin: 500, detectMult: 3 }
managers:
  - name: main
    bindIP: 127.0.0.1
    port: 0
    backend: memory
${manager}
${more}`;
}

/** A route to 127.0.9.`number`, as a line of a file. */
export function routeLine(number: number, fields = ''): string {
  return `      - { iface: lo, dst: 127.0.9.${number}/32, nextHop: 127.0.9.${number}, src: 127.0.0.1${fields} }`;
}

/** The same route as the API takes it. */
export function routeBody(number: number, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { iface: 'lo', dst: `127.0.9.${number}/32`, next_hop: `127.0.9.${number}`, src: '127.0.0.1', ...fields };
}
