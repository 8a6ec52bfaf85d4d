// What the checkout was last prepared from: hashes of the sources of each product, kept in node_modules.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const STAMP = join(ROOT, 'node_modules', '.route-liveness.json');

export function readStamp() {
  try {
    return JSON.parse(readFileSync(STAMP, 'utf8'));
  } catch {
    return {};
  }
}

export function writeStamp(stamp) {
  mkdirSync(dirname(STAMP), { recursive: true });
  writeFileSync(STAMP, JSON.stringify(stamp));
}

export function hashOfPackages() {
  return `${process.version} ${hash(['package.json', 'package-lock.json'])}`;
}

export function hashOfAddon() {
  return hash(['crate/Cargo.toml', 'crate/Cargo.lock', 'crate/build.rs', ...filesBelow('crate/src')]);
}

export function hashOfTypeScript() {
  return hash(['package.json', 'tsconfig.json', 'tsup.config.ts', ...filesBelow('ts')]);
}

function filesBelow(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length + 1))
    .sort();
}

function hash(files) {
  const sum = createHash('sha256');
  for (const file of files) {
    const path = join(ROOT, file);
    const there = existsSync(path) && statSync(path).isFile();
    sum.update(`${file}\0`).update(there ? readFileSync(path) : '');
  }
  return sum.digest('hex');
}
