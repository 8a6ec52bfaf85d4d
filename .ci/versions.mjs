// `npm run check:versions`: the version is package.json's; the crate, the sources and both lock files repeat it. `--tag v1.2.3` holds a tag
// to it as well.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({ options: { tag: { type: 'string' } } });

const { version } = JSON.parse(read('package.json'));
const lock = JSON.parse(read('package-lock.json'));
const found = {
  'package-lock.json': lock.version,
  'package-lock.json, its root package': lock.packages[''].version,
  'crate/Cargo.toml': /^version = "(.*)"$/m.exec(read('crate/Cargo.toml'))?.[1],
  'crate/Cargo.lock': /^name = "route-liveness"\nversion = "(.*)"$/m.exec(read('crate/Cargo.lock'))?.[1],
  'ts/base/version.ts': /^export const VERSION = '(.*)';$/m.exec(read('ts/base/version.ts'))?.[1],
  'docs/openapi.yaml': /^ {2}version: (.*)$/m.exec(read('docs/openapi.yaml'))?.[1],
  ...(values.tag === undefined ? {} : { 'the tag': values.tag.replace(/^v/, '') }),
};
const differing = Object.entries(found).filter(([, other]) => other !== version);
for (const [where, other] of differing) console.error(`package.json has version ${version}, ${where} has ${other ?? 'none'}`);
process.exitCode = differing.length > 0 ? 1 : 0;

function read(file) {
  return readFileSync(join(ROOT, file), 'utf8');
}
