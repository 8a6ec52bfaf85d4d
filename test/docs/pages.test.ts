/** What the pages say agrees with the sources: links, codes of errors, fields of the configuration, metrics. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { anchorsOf, linksOf, page, pages, ROOT } from './pages.js';

function sources(folder: string): string {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) => /\.(ts|rs)$/.test(name));
  return files.map((name) => readFileSync(join(ROOT, folder, name), 'utf8')).join('\n');
}

it('every link of a page leads to a file, and to a heading of it where it names one', () => {
  const all = pages();
  const broken = all.flatMap((from) =>
    linksOf(from)
      .filter(({ path, anchor }) => {
        if (!existsSync(join(ROOT, path))) return true;
        return anchor !== undefined && !anchorsOf(page(path)).has(anchor);
      })
      .map(({ path, anchor = '' }) => `${from.path}: ${path}#${anchor}`),
  );
  expect(all.length).toBeGreaterThan(10);
  expect(broken).toEqual([]);
});

it('every file that ARCHITECTURE.md or CONTRIBUTING.md names is there', () => {
  const files = ['crate/src', 'crate/tests', 'ts', 'test', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => `/${folder}/${name}`),
  );
  const named = ['ARCHITECTURE.md', '.github/CONTRIBUTING.md'].flatMap(
    (path) => page(path).text.match(/(?<=`)[\w./-]+\.(?:rs|ts|mjs|json)(?=`)/g) ?? [],
  );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !existsSync(join(ROOT, name)) && !files.some((file) => file.endsWith(`/${name}`)))).toEqual([]);
});

it('the page on errors has every code of the sources, and no other', () => {
  const inSources = new Set(sources('ts').match(/\bERR_[A-Z_]+\b/g));
  for (const code of sources('crate/src').match(/(?<=")ERR_[A-Z_]+(?=")/g) ?? []) inSources.add(code);
  // Node's own, which are told apart from ours and never shown.
  inSources.delete('ERR_SOCKET_DGRAM_NOT_RUNNING');
  inSources.delete('ERR_HTTP_REQUEST_TIMEOUT');
  inSources.delete('ERR_');
  const documented = new Set(page('docs/errors.md').text.match(/\bERR_[A-Z_]+\b/g));
  expect([...documented].sort()).toEqual([...inSources].sort());
});

it('the page on the configuration has every field of it', async () => {
  const { validateConfig, MemoryRoutes } = await import('../../ts/index.js');
  const config = validateConfig({ netlinker: new MemoryRoutes(), bindIP: '10.0.0.1', txMin: 50, rxMin: 50, detectMult: 3 });
  const ofBfd = ['multihopPort', 'onPeerAdminDown'];
  const optional = ['udp', 'logger', 'metricsRegistry', 'clientVersion', 'minTtl', 'realtime', 'massDown', 'resume', ...ofBfd];
  const [table = ''] = /\| field \|[\s\S]*?\n\n/.exec(page('docs/configuration.md').text) ?? [];
  const documented = table
    .split('\n')
    .flatMap((row) => row.split(' | ')[0]?.match(/(?<=`)\w+(?=`)/g) ?? [])
    .sort();
  expect(documented).toEqual([...Object.keys(config), ...optional].sort());
});

it('the page on metrics has every metric', async () => {
  const { Registry } = await import('prom-client');
  const { Manager, MemoryRoutes } = await import('../../ts/index.js');
  const metricsRegistry = new Registry();
  const backend = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port: 0, txMin: 50, rxMin: 50, detectMult: 3 };
  const manager = await Manager.start({ ...backend, engine: 'js', enablePeerMetrics: true, metricsRegistry });
  await manager.close();
  const shown = (await metricsRegistry.getMetricsAsJSON()).map(({ name }) => name.replace('liveness_', ''));
  const { text } = page('docs/metrics.md');
  expect(shown.length).toBeGreaterThan(20);
  expect(shown.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
