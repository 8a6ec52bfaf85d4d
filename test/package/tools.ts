/** The programs that the package test installs and runs with, of the versions in `tools/package.json`. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from './command.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const CACHE = join(ROOT, 'node_modules', '.cache', 'route-liveness');
const MANIFEST = fileURLToPath(new URL('tools/package.json', import.meta.url));
const FOLDER = join(CACHE, 'package-tools');

/** The lines of Node that the package serves. */
export const NODE_LINES = ['20', '22', '24', '26'] as const;
export type NodeLine = (typeof NODE_LINES)[number];

/** A file of an installed tool. */
export function tool(...path: readonly string[]): string {
  return join(FOLDER, 'node_modules', ...path);
}

export function node(line: NodeLine): string {
  return tool(`node-${line}`, 'bin', 'node');
}

/** Installs the tools where the manifest changed, from the registry that npm is configured with. No script of theirs is run. */
export async function installTools(): Promise<void> {
  const stamp = join(FOLDER, 'installed');
  const wanted = createHash('sha256').update(readFileSync(MANIFEST)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  mkdirSync(FOLDER, { recursive: true });
  copyFileSync(MANIFEST, join(FOLDER, 'package.json'));
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: FOLDER });
  writeFileSync(stamp, wanted);
}
