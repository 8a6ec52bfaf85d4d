/** status, events, watch and the page, with a real agent whose peers fail in several ways. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { type OpenPage, openPage } from './browser.js';
import { Terminal } from './terminal.js';
import { shortened, writeCaptures } from './captures.js';
import { run } from '../netns/command.js';
import { describeLab } from '../netns/lab.js';
import { CLI, type Daemon, OperatorLab } from './daemons.js';

/** Writes what the README shows. */
const UPDATES = process.env['UPDATE_PICTURES'] === '1';
const PICTURE = fileURLToPath(new URL('../../docs/pictures/page.png', import.meta.url));

const SESSIONS = 24;

describeLab('an operator', ['nft', 'tmux', 'chromium'], () => {
  let lab: OperatorLab;
  let agent: Daemon;
  let there: Daemon;
  let follower: ChildProcess;
  let followed: string;
  let terminal: Terminal | undefined;
  let page: OpenPage | undefined;

  const peer = (number: number): string => lab.peers[number] ?? '';

  beforeEach(async () => {
    lab = new OperatorLab(SESSIONS);
    const { one } = lab.lab;
    // Nobody has that address.
    const nobody = { iface: one.iface, dst: '10.9.0.99/32', src: one.address, nextHop: '10.201.0.99', peerIP: '10.201.0.99' };
    there = lab.answerer();
    agent = lab.watcher({ extra: [nobody], listen: '127.0.0.1:9810' });
    await agent.until((sessions) => sessions.filter(({ liveness_status }) => liveness_status === 'up').length === SESSIONS);
    followed = '';
    follower = spawn(process.execPath, [CLI, 'events', '--socket', agent.socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    follower.stdout?.setEncoding('utf8').on('data', (text: string) => (followed += text));
  });

  afterEach(async () => {
    follower.kill('SIGKILL');
    terminal?.close();
    await page?.close();
    await lab.close();
  });

  const is = (address: string, state: string): Promise<unknown> =>
    agent.until((sessions) => sessions.some((it) => it.peer_ip === address && it.liveness_status === state));
  const heard = async (what: RegExp): Promise<void> => {
    const deadline = Date.now() + 20_000;
    while (!what.test(followed)) {
      if (Date.now() > deadline) throw new Error(`events wrote:\n${followed}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  };

  it('finds the bad sessions among the others with each of its tools', async () => {
    // Events come from now on: one that is seen shows that the stream is open.
    await until(async () => {
      await agent.post('/hold', { peer_ip: peer(20), seconds: 3_600, reason: 'new optics' });
      await new Promise((resolve) => setTimeout(resolve, 200));
      return followed.includes('new optics');
    });
    for (let flap = 0; flap < 2; flap += 1) {
      lab.cut(peer(6));
      await is(peer(6), 'down');
      lab.heal(peer(6));
      await is(peer(6), 'up');
    }
    lab.cut(peer(3));
    await is(peer(3), 'down');
    await heard(new RegExp(`down +${peer(3)} on v1 from 10\\.201\\.0\\.1: (up|init) → down \\(timeout, silent for \\d+ ms`));
    await heard(/route +10\.9\.0\.4\/32 via 10\.201\.0\.14 on v1 withdrawn in [\d.]+ ms/);
    await heard(new RegExp(`hold +sessions with ${peer(20)} of fabric until \\d\\d:\\d\\d:\\d\\d: new optics`));

    const { code, stdout } = agent.ask('status');
    expect(code).toBe(1);
    const lines = stdout.split('\n');
    expect(lines[1]).toMatch(new RegExp(`^down +\\d+ s +${peer(3)} +v1 +10\\.201\\.0\\.1 +300 ms .* timeout.* 10\\.9\\.0\\.4/32$`));
    expect(lines[2]).toMatch(/^never up .* 10\.201\.0\.99 .* 10\.9\.0\.99\/32$/);
    expect(lines[3]).toMatch(new RegExp(`^up .* ${peer(6)} .* 2 +timeout`));
    expect(stdout).toContain(`${SESSIONS + 1} sessions: 1 down, 1 never up, ${SESSIONS - 1} up; 1 held\n`);
    expect(agent.ask('status', '--peer', peer(5))).toMatchObject({ code: 0 });
    expect(agent.ask('status', '--prefix', '10.9.0.4/32').stdout).toMatch(/\n1 session: 1 down\n$/);
    const byAddress = [
      'netns',
      'exec',
      agent.host.name,
      process.execPath,
      CLI,
      'status',
      '--url',
      'http://127.0.0.1:9810',
      '--state',
      'up',
    ];
    expect(run('ip', byAddress)).toContain(`${SESSIONS - 1} sessions: ${SESSIONS - 1} up; 1 held\n`);
    const routes = agent.ask('status', '--routes', '--state', 'down');
    expect(routes).toMatchObject({ code: 1 });
    expect(routes.stdout).toMatch(/absent +down .* 10\.9\.0\.4\/32 +10\.201\.0\.14 .*\n2 routes, 0 installed\n$/s);

    terminal = new Terminal({ columns: 112, rows: 14 });
    terminal.type(`cd '${lab.folder}'; clear; '${process.execPath}' '${CLI}' watch --socket control.sock`);
    terminal.press('Enter');
    const watched = await terminal.until((screen) => screen.includes('q quit'));
    expect(watched).toMatch(new RegExp(`1 down, 1 never up, ${SESSIONS - 1} up; 1 held.*\\n.*\\nSTATE.*\\ndown .*${peer(3)} `));
    lab.cut(peer(9));
    await terminal.until((screen) => screen.includes('2 down') && screen.includes(peer(9)));
    const withTwo = terminal.screen();

    page = await openPage(`http://${await lab.gate(agent)}/`, { size: { width: 1_280, height: 700 } });
    const rows = page.page.locator('tbody tr.row');
    await rows
      .filter({ hasText: peer(9) })
      .first()
      .waitFor();
    expect(await rows.nth(1).innerText()).toMatch(/^down/);
    await rows
      .filter({ hasText: peer(6) })
      .first()
      .click();
    await page.page.locator('#timeline li').nth(5).waitFor();
    expect(await page.page.locator('#timeline').innerText()).toMatch(/down: timeout\nThe peer was silent for \d+ ms\.\nThis host was/);
    lab.cut(peer(12));
    await page.page
      .locator('tr.row', { hasText: peer(12) })
      .filter({ hasText: /^down/ })
      .waitFor();
    expect(page.faults).toEqual([]);

    if (UPDATES) {
      await page.page.screenshot({ path: PICTURE });
      writeCaptures([
        { command: 'route-liveness status', output: shortened(stdout, 5) },
        { command: 'route-liveness events', output: shortened(followed, 7) },
        { command: 'route-liveness watch', output: withTwo },
      ]);
    }
    expect(await there.stop()).toBe(0);
    await agent.until((sessions) => sessions.every(({ liveness_status }) => liveness_status !== 'up'));
  });

  it('is told by the page and by watch that the agent ended', async () => {
    terminal = new Terminal({ columns: 112, rows: 14 });
    terminal.type(`cd '${lab.folder}'; clear; '${process.execPath}' '${CLI}' watch --socket control.sock`);
    terminal.press('Enter');
    await terminal.until((screen) => screen.includes('q quit'));
    page = await openPage(`http://${await lab.gate(agent)}/`);
    await page.page.locator('tbody tr.row').first().waitFor();
    expect(await agent.stop()).toBe(0);
    await terminal.until((screen) => screen.includes('No answer since'));
    await page.page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
    expect(agent.ask('status')).toMatchObject({ code: 3, stdout: '' });
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) if (Date.now() > deadline) throw new Error('waited in vain');
}
