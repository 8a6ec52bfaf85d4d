/** The demo on a machine that has `ip` and nothing else. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { run } from './command.js';
import { describeLab } from './lab.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

describeLab('the demo', ['ip'], () => {
  it('cuts the path without a packet filter; the other host detects it and comes Up again', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rl-path-'));
    try {
      symlinkSync(run('sh', ['-c', 'command -v ip']).trim(), join(folder, 'ip'));
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'demo'], { encoding: 'utf8', env: { PATH: folder } });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      expect(stdout).toContain('The path is cut: host 1 drops what host 2 sends.');
      expect(stdout).toMatch(/Detected [\d.]+ ms after the last packet had arrived/);
      expect(stdout).toMatch(/Both routes are back \d+ ms after the heal/);
      // Host 2 runs on: it is told, rather than stopped.
      expect(stdout).toMatch(/host 2 {2}transition {2}up → down \(remote_down\)/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 60_000);

  it('leaves no namespace behind when its output is closed, as `head` does', () => {
    const namespaces = (): string[] =>
      run('ip', ['netns', 'list'])
        .split('\n')
        .filter((line) => line.startsWith('rl-demo-'));
    const before = namespaces();
    spawnSync('sh', ['-c', `"${process.execPath}" "${CLI}" demo | head -n 1`], { encoding: 'utf8' });
    // The demo ends after its reader: at the next line that it writes.
    const deadline = Date.now() + 20_000;
    while (namespaces().length > before.length && Date.now() < deadline) spawnSync('sleep', ['0.1']);
    expect(namespaces()).toEqual(before);
  }, 60_000);
});
