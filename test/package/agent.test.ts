/** The agent where npm has installed the package for the whole machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';

import { expect, inject, it } from 'vitest';

import { Project, USUAL } from './project.js';
import { node, tool } from './tools.js';

it('npm install -g brings all that the agent needs, its page, its description and its metrics included', async () => {
  using project = new Project();
  const npm = [tool('npm', 'bin', 'npm-cli.js'), 'install', '--global', '--prefix', project.path('usr'), '--no-audit', '--no-fund'];
  await project.run(node(USUAL), [...npm, `route-liveness@${inject('version')}`]);
  const socket = project.path('control.sock');
  project.write(
    'agent.json',
    JSON.stringify({
      control: { socket },
      timers: { default: { txMin: 100, rxMin: 100, detectMult: 3 } },
      managers: [
        {
          ...{ bindIP: '127.0.0.1', port: 0, backend: 'memory' },
          sessions: [{ iface: 'lo', localIP: '127.0.0.1', peerIP: '127.0.0.2' }],
        },
      ],
    }),
  );
  const program = project.path('usr', 'bin', 'route-liveness');
  expect(await project.run(program, ['agent', '--config', 'agent.json', '--check'])).toContain('no fault; 1 manager');
  const agent = spawn(program, ['agent', '--config', 'agent.json'], { cwd: project.folder, env: project.env(), stdio: 'inherit' });
  try {
    const ready = { timeout: 20_000 };
    await expect.poll(() => get(socket, '/readyz').catch(() => ''), ready).toBe('{"ok":true,"error":null}');
    expect(await get(socket, '/metrics')).toContain('liveness_sessions{iface="lo",local_ip="127.0.0.1",state="down"} 1');
    expect(await get(socket, '/')).toContain('<!doctype html>');
    expect(await get(socket, '/openapi.yaml')).toContain('openapi: 3.1');
  } finally {
    agent.kill();
    expect(await once(agent, 'exit')).toEqual([0, null]);
  }
});

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    sent.end();
  });
}
