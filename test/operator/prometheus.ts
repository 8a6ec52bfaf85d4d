/** A real Prometheus that scrapes an agent. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE_MS = 60_000;

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

interface Answer<Data> {
  readonly status: 'success' | 'error';
  readonly error?: string;
  readonly data: Data;
}

export class Prometheus {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #address: string;

  private constructor(child: ChildProcess, folder: string, address: string) {
    this.#child = child;
    this.#folder = folder;
    this.#address = address;
  }

  /** Scrapes `target` as the job `route-liveness`, five times a second; `rules` is a file of alerts. */
  static async start(target: string, rules?: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'rl-prometheus-'));
    const config = {
      global: { scrape_interval: '200ms', evaluation_interval: '200ms' },
      ...(rules === undefined ? {} : { rule_files: [rules] }),
      scrape_configs: [{ job_name: 'route-liveness', static_configs: [{ targets: [target] }] }],
    };
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    return new Prometheus(spawn('prometheus', args, { stdio: 'ignore' }), folder, address);
  }

  /** What a query gives. @throws Error with what Prometheus says of a query that is wrong */
  async query(query: string): Promise<readonly Sample[]> {
    const { result } = await this.#get<{ result: readonly Sample[] }>(`query?query=${encodeURIComponent(query)}`);
    return result;
  }

  async alerts(): Promise<readonly Alert[]> {
    return (await this.#get<{ alerts: readonly Alert[] }>('alerts')).alerts;
  }

  /** What a question gives, once it gives what is expected. */
  async until<Found>(ask: () => Promise<Found>, fits: (found: Found) => boolean): Promise<Found> {
    const deadline = Date.now() + PATIENCE_MS;
    let last: unknown;
    while (Date.now() < deadline) {
      try {
        const found = await ask();
        if (fits(found)) return found;
        last = found;
      } catch (error) {
        // It has not come up yet: asked again until the deadline.
        last = String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`Prometheus gave ${JSON.stringify(last)}`);
  }

  async close(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get<Data>(path: string): Promise<Data> {
    const response = await fetch(`http://${this.#address}/api/v1/${path}`);
    const { status, error, data } = (await response.json()) as Answer<Data>;
    if (status === 'error') throw new Error(`${path}: ${error ?? ''}`);
    return data;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
