// What the package and its build bring in may be used: every installed npm package has a licence of the list. Advisories
// are npm's to tell (`npm audit`), where there is a network.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC-BY-4.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'MPL-2.0',
  'PSF-2.0',
  'Python-2.0',
  'Unlicense',
]);

/** MPL and the like are for tools; what users install is permissive. */
const TOOLS_ONLY = new Set(['CC-BY-4.0', 'MPL-2.0', 'PSF-2.0', 'Python-2.0']);

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const objections = [];
let count = 0;
for (const [path, { dev = false, optional = false }] of Object.entries(packages)) {
  if (path === '') continue;
  const manifest = read(join(path, 'package.json'));
  // Other platforms' packages are not installed.
  if (manifest === undefined) {
    if (!optional) objections.push(`${path} is not installed: npm ci`);
    continue;
  }
  count += 1;
  const licence = typeof manifest.license === 'string' ? manifest.license : (manifest.license?.type ?? 'none');
  if (!isAllowed(licence, dev)) objections.push(`${path}: ${licence}`);
}

for (const objection of objections) console.error(objection);
console.log(`${count} packages, ${objections.length} objections`);
process.exitCode = objections.length > 0 ? 1 : 0;

function isAllowed(licence, dev) {
  const choices = licence.replace(/[()]/g, '').split(' OR ');
  return choices.some((choice) => choice.split(' AND ').every((one) => ALLOWED.has(one) && (dev || !TOOLS_ONLY.has(one))));
}

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
