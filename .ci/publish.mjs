// `npm run release -- DIR`: publishes the tarballs of pack:all, those of the platforms first, since the main package depends on
// them. One that the registry has in this version is left out, so that a release that failed half-way is run again.
// `--dry-run` asks npm what it would do; `--provenance` says where it was built. A version with a hyphen gets the tag `next`.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean', default: false }, provenance: { type: 'boolean', default: false } },
});
if (positionals.length !== 1) fail('which folder has the tarballs? npm run release -- DIR');
const folder = resolve(positionals[0]);
const { name: main, version, napi } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const suffix = `-${version}.tgz`;
const names = readdirSync(folder)
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));
const platforms = names.filter((name) => name !== main);
if (!names.includes(main)) fail(`${folder} has no ${main}${suffix}`);
if (platforms.length !== napi.targets.length) fail(`${folder} has ${platforms.length} packages of platforms, not ${napi.targets.length}`);

for (const name of [...platforms, main]) {
  if (isPublished(name)) console.log(`${name}@${version} is published`);
  else publish(name);
}

function isPublished(name) {
  const { status, stdout } = spawnSync('npm', ['view', `${name}@${version}`, 'version', '--json'], { encoding: 'utf8' });
  if (status === 0) return stdout.trim() !== '';
  const { error } = JSON.parse(stdout || '{}');
  if (error?.code === 'E404') return false;
  return fail(`npm view ${name}@${version} failed: ${error?.summary ?? stdout}`);
}

function publish(name) {
  const flags = ['--access', 'public', '--tag', version.includes('-') ? 'next' : 'latest'];
  if (values['dry-run']) flags.push('--dry-run');
  if (values.provenance) flags.push('--provenance');
  const { status } = spawnSync('npm', ['publish', join(folder, `${name}${suffix}`), ...flags], { stdio: 'inherit' });
  if (status !== 0) fail(`npm publish of ${name} failed`);
}

function fail(text) {
  console.error(`[release] ${text}`);
  process.exit(1);
}
