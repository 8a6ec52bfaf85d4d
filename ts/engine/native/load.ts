/** Finds and loads the addon. An error lists every candidate and why it failed; only "not found" tries the next one. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { familySync, MUSL } from 'detect-libc';

import { codeOf, LivenessError, messageOf } from '../../base/errors.js';
import { readGuarded } from '../../base/guard.js';
import packages from '../../base/optional-packages.cjs';
import { exportsOf, HERE, requireHere } from '../../base/require.js';
import { VERSION } from '../../base/version.js';
import { adviceFor, type Failure } from './advice.js';
import type { Binding } from './binding.js';
import { missingBytes } from './elf.js';

let loaded: Binding | undefined;
let hasFailed = false;

/**
 * Loads the addon: the file that ROUTE_LIVENESS_BINDING names; otherwise that of this package's own build, or that of the
 * platform package.
 *
 * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`, with every candidate, why it failed, and what to do
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
  const platform = platformName();
  const failures: Failure[] = [];
  for (const candidate of candidates(platform)) {
    const outcome = attempt(candidate);
    if ('binding' in outcome) return outcome.binding;
    failures.push(outcome);
    if (outcome.kind !== 'missing') break;
  }
  const tried = failures.map(({ name, reason }) => `  - ${name}: ${reason}`);
  const advice = adviceFor(platform, failures).map((line) => `  - ${line}`);
  const message = [`The native addon does not load on ${platform}.`, 'Tried:', ...tried, 'What helps:', ...advice].join('\n');
  throw new LivenessError('ERR_ENGINE_UNAVAILABLE', message);
}

type Platform = (typeof packages.PLATFORMS)[number];

/** A place where the addon may be. */
interface Candidate {
  /** A path, or the name of a package. */
  readonly name: string;
  readonly load: () => unknown;
}

function candidates(platform: string): Candidate[] {
  const named = process.env['ROUTE_LIVENESS_BINDING'];
  if (named !== undefined && named !== '') return [fileCandidate(named)];
  const root = packageRoot();
  const built = root === undefined ? [] : [fileCandidate(join(root, 'dist', 'native', `route-liveness.${platform}.node`))];
  return isSupported(platform) ? [...built, packageCandidate(platform)] : built;
}

function isSupported(platform: string): platform is Platform {
  return (packages.PLATFORMS as readonly string[]).includes(platform);
}

function fileCandidate(path: string): Candidate {
  return {
    name: path,
    load: () => {
      assertThere(path);
      assertWhole(path);
      return requireHere()(path) as unknown;
    },
  };
}

function packageCandidate(platform: Platform): Candidate {
  const name = `route-liveness-${platform}`;
  return {
    name,
    load: () => {
      const path = readGuarded(() => requireHere().resolve(name), undefined);
      if (path !== undefined) assertWhole(path);
      return exportsOf(packages.requireAddon(platform), name);
    },
  };
}

function attempt(candidate: Candidate): { binding: Binding } | Failure {
  const { name } = candidate;
  try {
    const found = candidate.load() as Partial<Binding>;
    if (typeof found.version !== 'function') return { name, kind: 'strange', reason: 'it is no addon of this package: it has no version' };
    const theirs = found.version();
    if (theirs === VERSION) return { binding: found as Binding };
    return { name, kind: 'version', reason: `it was built for version ${theirs}, this package is ${VERSION}` };
  } catch (error) {
    return failureOf(name, error);
  }
}

function failureOf(name: string, error: unknown): Failure {
  const code = codeOf(error);
  const reason = messageOf(error);
  // An addon that exists, but needs a missing module, fails with the same code, and its path is in the lines after the first.
  if (code === 'MODULE_NOT_FOUND' && reason.split('\n', 1)[0]?.includes(name) === true)
    return { name, kind: 'missing', reason: 'not found' };
  if (code === 'ERR_DLOPEN_DISABLED') return { name, kind: 'forbidden', reason };
  return { name, kind: 'broken', reason };
}

/**
 * Package managers and bundlers that replace `require` have words of their own for a file that is not there.
 *
 * @throws Error `MODULE_NOT_FOUND` if there is no such file
 */
function assertThere(path: string): void {
  if (!existsSync(path)) throw Object.assign(new Error(`Cannot find module '${path}'`), { code: 'MODULE_NOT_FOUND' });
}

/** @throws Error if the file is cut off */
function assertWhole(path: string): void {
  // A file that cannot be read is left to the loader, whose error says more.
  const missing = readGuarded(() => missingBytes(path), 0);
  if (missing > 0) throw new Error(`the file is cut off: ${missing} bytes are missing at its end`);
}

/** As napi-rs names platforms: `linux-x64-gnu`, `linux-arm64-musl`, `darwin-arm64`. */
function platformName(): string {
  const { platform, arch } = process;
  return platform === 'linux' ? `linux-${arch}-${familySync() === MUSL ? 'musl' : 'gnu'}` : `${platform}-${arch}`;
}

/** The folder of this package, which may have an addon of its own build; `undefined` in a bundle elsewhere. */
function packageRoot(): string | undefined {
  if (HERE === undefined) return undefined;
  let folder = dirname(fileURLToPath(HERE));
  while (!isPackageRoot(folder)) {
    if (dirname(folder) === folder) return undefined;
    folder = dirname(folder);
  }
  return folder;
}

function isPackageRoot(folder: string): boolean {
  const manifest = join(folder, 'package.json');
  const name = (): unknown => (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name;
  return existsSync(manifest) && readGuarded(name, undefined) === 'route-liveness';
}
