/** The agent as a process: its file, its signals, its exit status, and the kernel's routes behind it. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import { AgentDaemon, CLI, PATIENCE } from './agent-daemon.js';
import { run } from './command.js';
import { describeLab, type Host, Lab } from './lab.js';
import { describeWhere, lacking } from './needs.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

/** The command line, run to its end. */
function cli(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', timeout: 30_000 });
}

function file(text: string, name = 'agent.yaml'): string {
  const folder = mkdtempSync(join(tmpdir(), 'rl-agent-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, name), text.replaceAll('FOLDER', folder));
  return join(folder, name);
}

/** An agent that ends with its test. */
async function started(text: string, where?: { lab: Lab; host: Host }, env?: Record<string, string>): Promise<AgentDaemon> {
  const daemon = await AgentDaemon.start(text, where, env);
  onTestFinished(() => daemon.close());
  return daemon;
}

const ON_LOOPBACK = `control: { socket: FOLDER/control.sock }
timers: { default: { txMin: 100, rxMin: 100, detectMult: 3 } }
managers:
  - bindIP: 127.0.0.1
    port: 0
    backend: memory
    onClose: { adminDown: true }
    routes: [{ iface: lo, dst: 127.0.9.1/32, nextHop: 127.0.9.1, src: 127.0.0.1 }]
`;

/** From the first SIGTERM on, libuv's threads, here only one, have more to do than a test waits for. */
const BUSY_POOL = {
  UV_THREADPOOL_SIZE: '1',
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    `import { pbkdf2 } from 'node:crypto'; process.on('SIGTERM', () => pbkdf2('', '', 1e9, 64, 'sha512', () => undefined));`,
  )}`,
};

describe('the command line of the agent', () => {
  it('ends with 2 and its help where it is used wrongly, and with 0 where that is asked for', () => {
    for (const args of [[], ['--confg', 'x'], ['--config'], ['more', '--config', 'x']]) {
      const { status, stdout, stderr } = cli('agent', ...args);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toContain('route-liveness agent --config FILE --check');
    }
    expect(cli('agent', '--help')).toMatchObject({ status: 0, stderr: '' });
    expect(cli('demo', '--help')).toMatchObject({ status: 0, stderr: '' });
    expect(cli('demo', '--loud').status).toBe(2);
    const { status, stderr } = cli('agnet');
    expect([status, stderr.split('\n')[0]]).toEqual([2, 'Unknown command `agnet`.']);
  });

  it('checks a file without starting anything', () => {
    const good = file(ON_LOOPBACK.replace('iface: lo', 'iface: elsewhere0'));
    expect(cli('agent', '--config', good, '--check')).toEqual(
      expect.objectContaining({
        status: 0,
        stdout: `${good}: no fault; 1 manager, 1 route\n`,
        stderr: `warning: ${good}:8:16: managers[0].routes[0].iface: Expected \`iface\` to be an interface of this host, got \`"elsewhere0"\` (string)\n`,
      }),
    );
    const bad = file(ON_LOOPBACK.replace('txMin: 100', 'txMin: 0.1').replace('iface: lo', 'ifaces: lo'));
    const { status, stdout, stderr } = cli('agent', '--config', bad, '--check');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringContaining(`${bad}:2:22: timers.default.txMin: `),
      expect.stringContaining(`${bad}:8:14: managers[0].routes[0].iface: Expected \`iface\` to be given`),
      expect.stringContaining(`${bad}:8:16: managers[0].routes[0].ifaces: Unknown option \`ifaces\` (did you mean \`iface\`?)`),
      '3 faults',
    ]);
  });

  it('starts nothing with a fault in the file', () => {
    const bad = file(ON_LOOPBACK.replace('iface: lo', 'iface: nowhere0'));
    const { status, stdout, stderr } = cli('agent', '--config', bad);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain('Expected `iface` to be an interface of this host');
    expect(stderr).toContain('1 fault, nothing was started');
    expect(existsSync(bad.replace('agent.yaml', 'control.sock'))).toBe(false);
  });

  it('says why it does not start where the system is why', async () => {
    const holder = await started(ON_LOOPBACK.replace('port: 0', 'port: 44871'));
    const other = file(ON_LOOPBACK.replace('port: 0', 'port: 44871'));
    const { status, stdout } = cli('agent', '--config', other);
    expect(status).toBe(1);
    expect(stdout).toContain('the agent does not start: The manager `liveness` does not start: ');
    expect(stdout).toMatch(/UDP port 44871 is held by node \(process \d+\)/);
    expect(existsSync(other.replace('agent.yaml', 'control.sock'))).toBe(false);
    expect((await holder.ask('/healthz')).status).toBe(200);
  });
});

describe('an agent', () => {
  it('whose managers have all been handed over to another agent ends with 0', async () => {
    const state = join(mkdtempSync(join(tmpdir(), 'rl-state-')), 'state');
    onTestFinished(() => rmSync(dirname(state), { recursive: true, force: true }));
    const text = ON_LOOPBACK.replace('backend: memory', `backend: memory\n    resume: ${state}`);
    const first = await started(text);
    const second = await started(text);
    expect(await first.ended).toBe(0);
    expect(first.log).toContain('a successor takes over the sessions');
    expect((await second.ask('/healthz')).status).toBe(200);
  });

  it('whose file has vanished goes on as before, and says why', async () => {
    const daemon = await started(ON_LOOPBACK);
    rmSync(daemon.file);
    daemon.signal('SIGHUP');
    await expect.poll(() => daemon.log.join('\n'), PATIENCE).toContain('nothing was reloaded: ');
    expect(daemon.log.join('\n')).toContain('The file cannot be read: ENOENT');
    expect((await daemon.routes()).length).toBe(1);
  });

  it('replaces the socket of one that was killed, and refuses that of one that runs', async () => {
    const daemon = await started(ON_LOOPBACK);
    const { status, stdout } = cli('agent', '--config', file(ON_LOOPBACK.replace('FOLDER/control.sock', daemon.socket)));
    expect(status).toBe(1);
    expect(stdout).toContain(`The control socket ${daemon.socket} cannot be used: another agent listens there`);
    daemon.signal('SIGKILL');
    expect(await daemon.ended).toBe('SIGKILL');
    expect(existsSync(daemon.socket)).toBe(true);
    const next = await started(ON_LOOPBACK.replace('FOLDER/control.sock', daemon.socket));
    expect((await daemon.ask('/readyz')).status).toBe(200);
    next.signal('SIGINT');
    expect(await next.ended).toBe(0);
    expect(existsSync(daemon.socket)).toBe(false);
  });

  it('ends at once at a second signal, takes its socket away and has told of it, though libuv’s threads are busy', async () => {
    // Announcements, for one detection time and 3 s at most, would come first.
    const daemon = await started(ON_LOOPBACK.replace('detectMult: 3', 'detectMult: 255'), undefined, BUSY_POOL);
    daemon.signal('SIGTERM');
    await expect.poll(() => daemon.log, PATIENCE).toContain('closing');
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toBe('SIGTERM');
    expect(daemon.log.join('\n')).toContain('a second signal: ending at once');
    expect(existsSync(daemon.socket)).toBe(false);
  });
});

describeLab('an agent with kernel routes', [], () => {
  function config(own: Host, other: Host, more = ''): string {
    return `control: { socket: FOLDER/control.sock }
timers: { default: { txMin: 100, rxMin: 100, detectMult: 3 } }
managers:
  - bindIP: ${own.address}
${more}
    routes: [{ iface: ${own.iface}, dst: ${other.service}/32, nextHop: ${other.address}, src: ${own.address}, peerIP: ${other.address} }]
`;
  }

  async function pair(more: string): Promise<{ lab: Lab; one: AgentDaemon }> {
    const lab = new Lab();
    onTestFinished(() => lab.close());
    await started(config(lab.two, lab.one), { lab, host: lab.two });
    const one = await started(config(lab.one, lab.two, more), { lab, host: lab.one });
    await expect.poll(() => lab.has(lab.one, lab.two.service), PATIENCE).toBe(true);
    return { lab, one };
  }

  it('withdraws them at its end where its file says so', async () => {
    const { lab, one } = await pair('    onClose: { withdrawRoutes: true }');
    one.signal('SIGTERM');
    expect(await one.ended).toBe(0);
    expect(lab.has(lab.one, lab.two.service)).toBe(false);
  });

  it('leaves them where its file does not, and the next agent adopts them', async () => {
    const { lab, one } = await pair('    adopt: [{ protocol: 186 }]');
    one.signal('SIGTERM');
    expect(await one.ended).toBe(0);
    expect(lab.has(lab.one, lab.two.service)).toBe(true);
    const next = await started(config(lab.one, lab.two, '    adopt: [{ protocol: 186 }]'), { lab, host: lab.one });
    expect(next.log).toContain('adopted 1 route');
    expect(await next.routes()).toMatchObject([{ rt_status: 'present' }]);
  });

  it('keeps them through a hold, as POST /hold asks, and withdraws them when it is released', async () => {
    const { lab, one } = await pair('');
    const { seen, request } = one.events();
    expect((await one.ask('/hold', 'POST', { seconds: 600, peer_ip: lab.two.address, reason: 'new fibre' })).status).toBe(200);
    lab.cut(lab.two);
    await expect.poll(() => one.sessions('?state=down'), PATIENCE).toMatchObject([{ reason: 'timeout', flaps: 1, ever_up: true }]);
    expect(lab.has(lab.one, lab.two.service)).toBe(true);
    expect(await one.routes()).toMatchObject([{ rt_status: 'present', liveness_status: 'down', held_until: expect.any(String) as string }]);
    await one.ask('/release', 'POST', { peer_ip: lab.two.address });
    await expect.poll(() => lab.has(lab.one, lab.two.service), PATIENCE).toBe(false);
    await expect.poll(() => seen.map(({ type }) => type), PATIENCE).toEqual(['hold', 'transition', 'release', 'route']);
    request.destroy();
  });
});

describeLab('the example of a configuration', [], () => {
  /** A host with the interface and the addresses that the example names. */
  function hostOfExample(): { lab: Lab; host: Host } {
    const lab = new Lab({ ifaces: ['eth0', 'eth0'] });
    onTestFinished(() => lab.close());
    lab.addAddress(lab.one, '192.0.2.1', 24);
    lab.addAddress(lab.one, '2001:db8::1', 64);
    return { lab, host: lab.one };
  }

  const example = readFileSync(join(EXAMPLES, 'agent.yaml'), 'utf8').replaceAll('/run/route-liveness/', 'FOLDER/');

  it('runs as it is', async () => {
    const daemon = await started(example, hostOfExample());
    expect(daemon.log.find((text) => text.startsWith('ready: '))).toBe('ready: 2 managers, 3 routes, 1 session without a route');
    expect((await daemon.sessions()).map(({ manager, peer_ip, routes }) => [manager, peer_ip, routes.length])).toEqual([
      ['fabric', '192.0.2.2', 2],
      ['routers', '192.0.2.3', 1],
      ['routers', '2001:db8::3', 0],
    ]);
  });

  it('runs with the settings that it leaves out', async () => {
    const all = example.replace(/^( *)#(?=\S)/gm, '$1').replace('group: netops', 'group: root');
    const where = hostOfExample();
    const daemon = await started(all, where, { BACKBONE_KEY: 'a secret' });
    expect((await daemon.sessions('?peer=192.0.2.3')).map(({ auth_key_id }) => auth_key_id)).toEqual([1]);
    const scrape = ['netns', 'exec', where.host.name, process.execPath, '-e'];
    const program = "fetch('http://127.0.0.1:9477/metrics').then((answer) => answer.text()).then((text) => console.log(text))";
    expect(run('ip', [...scrape, program])).toContain('liveness_sessions{iface="eth0",local_ip="192.0.2.1",state="down"} 2');
  });
});

describeWhere('the unit file', lacking(['systemd-analyze']), () => {
  it('has no fault that systemd knows of', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rl-unit-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const unit = readFileSync(join(EXAMPLES, 'route-liveness.service'), 'utf8');
    expect(unit).toContain('ExecStart=/usr/local/bin/route-liveness agent --config ');
    const path = join(folder, 'route-liveness.service');
    writeFileSync(path, unit.replace('/usr/local/bin/route-liveness', process.execPath));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });
});

describeWhere('systemd', lacking(['systemd-socket-activate']), () => {
  it('is told when the agent is ready, lives, reloads and ends', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rl-notify-'));
    const path = join(folder, 'notify');
    // Writes what is sent to the socket, from the first datagram on.
    const listener = spawn('systemd-socket-activate', ['--datagram', '--listen', path, 'sh', '-c', 'exec cat <&3'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => {
      listener.kill();
      rmSync(folder, { recursive: true, force: true });
    });
    let heard = '';
    listener.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    await expect.poll(() => existsSync(path), PATIENCE).toBe(true);
    const daemon = await started(ON_LOOPBACK, undefined, { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' });
    await expect.poll(() => heard, PATIENCE).toMatch(/^READY=1\nSTATUS=1 manager, 1 route\n+(WATCHDOG=1\n+){2}/);
    daemon.signal('SIGHUP');
    await expect.poll(() => heard, PATIENCE).toMatch(/RELOADING=1\nMONOTONIC_USEC=\d+\n+READY=1\nSTATUS=1 manager, 1 route\n/);
    daemon.signal('SIGTERM');
    expect(await daemon.ended).toBe(0);
    await expect.poll(() => heard, PATIENCE).toMatch(/STOPPING=1\n*$/);
  });
});
