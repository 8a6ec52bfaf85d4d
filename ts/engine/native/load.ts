/** Finds and loads the addon. An error lists every candidate and why it failed; only "not found" tries the next one. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { familySync, MUSL } from 'detect-libc';

import { codeOf, LivenessError, messageOf } from '../../base/errors.js';
import { readGuarded } from '../../base/guard.js';
import type { Binding } from './binding.js';

const require = createRequire(import.meta.url);

let loaded: Binding | undefined;
let hasFailed = false;

/**
 * Loads the addon: the file that ROUTE_LIVENESS_BINDING names; otherwise that of this package's own build, or that of the
 * platform package.
 *
 * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`, with every candidate and its failure
 */
export function loadBinding(): Binding {
  try {
    loaded ??= load();
    return loaded;
  } catch (error) {
    hasFailed = true;
    throw error;
  }
}

/** Loads the addon for an optional feature. After one failure it is not searched again. */
export function bindingIfAny(): Binding | undefined {
  if (loaded !== undefined || hasFailed) return loaded;
  return readGuarded(loadBinding, undefined);
}

function load(): Binding {
  const root = packageRoot();
  const tried: string[] = [];
  for (const candidate of candidates(root)) {
    const outcome = attempt(candidate);
    if (outcome.binding === undefined) {
      tried.push(`${candidate}: ${outcome.reason}`);
      if (!outcome.missing) break;
      continue;
    }
    const [ours, theirs] = [packageVersion(root), outcome.binding.version()];
    if (ours === theirs) return outcome.binding;
    tried.push(`${candidate}: it was built for version ${theirs}, this package is ${ours}`);
    break;
  }
  throw new LivenessError('ERR_ENGINE_UNAVAILABLE', `The native addon does not load:\n${tried.map((line) => `  - ${line}`).join('\n')}`);
}

function candidates(root: string): string[] {
  const named = process.env['ROUTE_LIVENESS_BINDING'];
  if (named !== undefined && named !== '') return [named];
  const triple = platformTriple();
  return [join(root, 'dist', 'native', `route-liveness.${triple}.node`), `route-liveness-${triple}`];
}

type Attempt = { binding: Binding } | { binding: undefined; missing: boolean; reason: string };

function attempt(candidate: string): Attempt {
  try {
    const found = require(candidate) as Partial<Binding>;
    if (typeof found.version === 'function') return { binding: found as Binding };
    return { binding: undefined, missing: false, reason: 'it is no addon of this package: it has no version' };
  } catch (error) {
    // An addon that exists, but needs a missing module, fails with the same code: that is not "not found".
    const missing = codeOf(error) === 'MODULE_NOT_FOUND' && messageOf(error).includes(`'${candidate}'`);
    return { binding: undefined, missing, reason: missing ? 'not found' : messageOf(error) };
  }
}

/** As napi-rs names platforms: `linux-x64-gnu`, `linux-arm64-musl`, `darwin-arm64`. */
function platformTriple(): string {
  const { platform, arch } = process;
  return platform === 'linux' ? `linux-${arch}-${familySync() === MUSL ? 'musl' : 'gnu'}` : `${platform}-${arch}`;
}

/** The folder of this package. Bundling decides where in it this file is. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!isPackageRoot(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function isPackageRoot(folder: string): boolean {
  const manifest = join(folder, 'package.json');
  return existsSync(manifest) && readManifest(manifest).name === 'route-liveness';
}

function packageVersion(root: string): string | undefined {
  return readManifest(join(root, 'package.json')).version;
}

function readManifest(path: string): { name?: string; version?: string } {
  return JSON.parse(readFileSync(path, 'utf8')) as { name?: string; version?: string };
}
