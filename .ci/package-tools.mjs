// Installs the programs that the package tests install and run with, of the versions in test/package/tools/package.json, where
// that file has changed. From the registry that npm is configured with. No script of theirs is run.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const MANIFEST = join(ROOT, 'test', 'package', 'tools', 'package.json');
const FOLDER = join(ROOT, 'node_modules', '.cache', 'route-liveness', 'package-tools');
const STAMP = join(FOLDER, 'installed');

const wanted = createHash('sha256').update(readFileSync(MANIFEST)).digest('hex');
if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
  mkdirSync(FOLDER, { recursive: true });
  copyFileSync(MANIFEST, join(FOLDER, 'package.json'));
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock'];
  const { error, status } = spawnSync('npm', args, { cwd: FOLDER, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined || status !== 0) {
    console.error(`npm ${args.join(' ')} failed${error === undefined ? '' : `: ${error.message}`}`);
    process.exit(1);
  }
  writeFileSync(STAMP, wanted);
}
