/** A newcomer's path: the commands of the operator's guide, from `npm install -g` to an alert that fires for a cut link. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, expect, inject, it } from 'vitest';

import { describeWhere, lacking } from '../netns/needs.js';
import { ROOT } from './tools.js';

const NAMESPACES = ['rl-one', 'rl-two'];

/** The commands of a section of the guide, in their order. */
function commandsOf(section: string): string {
  const text = readFileSync(join(ROOT, 'docs', 'operating.md'), 'utf8');
  const [, rest = ''] = text.split(`\n## ${section}\n`);
  const [body = ''] = rest.split('\n## ');
  return [...body.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '').join('\n');
}

interface Walked {
  readonly code: number | null;
  readonly output: string;
}

describeWhere('a newcomer', lacking(['ip', 'prometheus', 'promtool'], { asRoot: true }), () => {
  let folder: string;
  let group: number | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'route-liveness-newcomer-'));
  });

  afterEach(() => {
    // What the walk started and did not end, if it failed.
    if (group !== undefined) spawnSync('kill', ['-KILL', '--', `-${group}`]);
    for (const name of NAMESPACES) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs commands as a person types them, and stops at the first that fails. A process group of its own can be ended as a whole. */
  const walk = (commands: string): Promise<Walked> => {
    const env = {
      PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      HOME: folder,
      npm_config_prefix: folder,
      npm_config_registry: inject('registry'),
    };
    const child = spawn('bash', ['-euo', 'pipefail', '-c', `exec 2>&1\n${commands}`], { cwd: folder, env, detached: true });
    group = child.pid;
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
  };

  it('gets from the installation to an alert for a cut link with the commands of the guide alone', async () => {
    const { code, output } = await walk(commandsOf('The first alert'));
    expect({ code, output }).toMatchObject({ code: 0 });
    const steps = [
      /one\.yaml: no fault/,
      /\nup +\d+ s +192\.0\.2\.2 +eth1 .* 198\.51\.100\.2\/32\n1 session: 1 up\n/,
      /\n198\.51\.100\.2 via 192\.0\.2\.2 dev eth1 src 192\.0\.2\.1 ?\n/,
      /1 rule files found|18 rules found/,
      /liveness_routes_installed\{.*192\.0\.2\.1/,
      /\ndown .* timeout .*\n1 session: 1 down\nstatus ends with 1\n/,
      /ALERTS\{.*alertname="LivenessSessionDown", alertstate="firing"/,
      /\n1 session: 1 up\n/,
    ];
    let from = 0;
    for (const step of steps) {
      const found = step.exec(output.slice(from));
      expect(found, `${String(step)} in:\n${output}`).not.toBeNull();
      from += (found?.index ?? 0) + (found?.[0].length ?? 0) - 1;
    }
    // After the cut, the route is gone when it is asked for.
    expect(output.split('198.51.100.2 via').length - 1).toBe(1);
    group = undefined;
  }, 300_000);
});
