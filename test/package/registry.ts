/** A registry on loopback that has the packages of this checkout, and everything else from the registry that npm is configured with. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { run } from './command.js';
import { node, tool } from './tools.js';

export class Registry {
  readonly url: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.url = `http://127.0.0.1:${port}`;
    this.#folder = folder;
    this.#child = child;
  }

  /** Starts a registry that keeps its packages in a folder. */
  static async start(folder: string): Promise<Registry> {
    mkdirSync(folder, { recursive: true });
    const uplink = (await run('npm', ['config', 'get', 'registry'])).trim();
    const port = await freePort();
    writeFileSync(join(folder, 'config.yaml'), configuration(uplink));
    const program = tool('verdaccio', 'bin', 'verdaccio');
    const child = spawn(node('22'), [program, '--config', 'config.yaml', '--listen', `127.0.0.1:${port}`], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await listening(child);
    const registry = new Registry(folder, port, child);
    writeFileSync(registry.npmrc, `registry=${registry.url}/\n//127.0.0.1:${port}/:_authToken=anybody\n`);
    return registry;
  }

  /** A configuration with which npm publishes to, and installs from, this registry. */
  get npmrc(): string {
    return join(this.#folder, 'npmrc');
  }

  async publish(tarball: string): Promise<void> {
    await run('npm', ['publish', tarball, '--userconfig', this.npmrc, '--registry', this.url], { cwd: this.#folder });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill();
    await exited;
  }
}

function configuration(uplink: string): string {
  return `storage: ./storage
uplinks:
  configured:
    url: ${uplink}
    maxage: 60m
packages:
  'route-liveness*': { access: $all, publish: $all }
  '**': { access: $all, proxy: configured }
max_body_size: 50mb
log: { type: stdout, format: pretty, level: warn }
`;
}

/** The program says the address once it listens. */
async function listening(child: ChildProcess): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes('http address')) resolve();
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.once('exit', () => {
      reject(new Error(`the registry did not start:\n${output}`));
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
