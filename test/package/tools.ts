/** The programs that the package test installs and runs with, of the versions in `tools/package.json`. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from './command.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const CACHE = join(ROOT, 'node_modules', '.cache', 'route-liveness');
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

/** Installs the tools where the manifest changed. */
export async function installTools(): Promise<void> {
  await run('node', ['.ci/package-tools.mjs'], { cwd: ROOT });
}
