// `npm run lint:workflows`: actionlint over the workflows; every action is pinned by the digest of a commit, with its version
// beside it; every script that a workflow runs exists.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const WORKFLOWS = join(ROOT, '.github', 'workflows');
const ACTIONLINT = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12';

const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const objections = readdirSync(WORKFLOWS).flatMap((file) => [
  ...readFileSync(join(WORKFLOWS, file), 'utf8')
    .split('\n')
    .flatMap((line, index) => objectionsTo(line).map((text) => `${file}:${index + 1}: ${text}`)),
]);
for (const objection of objections) console.error(objection);
const isClean = actionlint();
if (objections.length > 0 || !isClean) process.exitCode = 1;

function objectionsTo(line) {
  const uses = /^\s*(?:- )?uses: (?!\.\/)(.*)$/.exec(line)?.[1];
  const found = [];
  if (uses !== undefined && !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(uses))
    found.push(`${uses} is not pinned by digest and version`);
  for (const [, name] of line.matchAll(/npm run (?:--silent )?([\w:-]+)/g)) {
    if (scripts[name] === undefined) found.push(`package.json has no script ${name}`);
  }
  for (const [, path] of line.matchAll(/(?:^|[\s/])(\.ci\/[\w./-]+)/g)) {
    if (!existsSync(join(ROOT, path))) found.push(`there is no ${path}`);
  }
  return found;
}

/** It finds shellcheck by itself where that is there. A machine without Go leaves it to the workflows' own lint. */
function actionlint() {
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
    console.error('actionlint was not run: there is no go');
    return !process.env.GITHUB_ACTIONS;
  }
  return spawnSync('go', ['run', ACTIONLINT], { cwd: ROOT, stdio: 'inherit' }).status === 0;
}
