/** `watch` in a real terminal. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { describeWhere, lacking } from '../netns/needs.js';
import { AT, manySessions } from './agent-views.js';
import { CannedAgent, json } from './canned-agent.js';
import { Terminal } from './terminal.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

describeWhere('watch, in a terminal', lacking(['tmux']), () => {
  let folder: string;
  let agent: CannedAgent;
  let terminal: Terminal;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rl-watch-'));
    agent = await CannedAgent.listen(join(folder, 'control.sock'));
    agent.sessions = manySessions(5_000, (index) => (index === 4_000 ? { liveness_status: 'down', reason: 'timeout' } : {}));
  });

  afterEach(async () => {
    terminal.close();
    await agent.close();
    rmSync(folder, { recursive: true });
  });

  const open = async (env: Record<string, string> = {}): Promise<void> => {
    terminal = new Terminal({ columns: 110, rows: 30, env });
    terminal.type('echo before; ');
    terminal.type(`'${process.execPath}' '${CLI}' watch --socket '${join(folder, 'control.sock')}'; echo "ended with $?"`);
    terminal.press('Enter');
    await terminal.until((screen) => screen.includes('5000 sessions'));
  };
  /** The shell's screen is back, and the terminal echoes and edits lines again. */
  const isRestored = async (status: number): Promise<string> => {
    const screen = await terminal.until((it) => it.includes(`ended with ${status}`));
    expect(terminal.state).toEqual({ alternate: false, cursor: true });
    expect(screen).toContain('before');
    terminal.type('stty -a | grep -o " icanon\\| echo "; echo checked');
    terminal.press('Enter');
    expect(await terminal.until((it) => /^checked/m.test(it))).toMatch(/\n icanon\n echo ?\nchecked/);
    return screen;
  };

  it('shows 5 000 sessions, worst first, follows keys and the size of the terminal, and gives the terminal back', async () => {
    await open();
    expect(terminal.state).toEqual({ alternate: true, cursor: false });
    expect(terminal.screen()).toMatch(/5000 sessions: 1 down, 4999 up.*\n1–26 of 5000 .*\nSTATE.*\ndown .*10\.201\.15\.160 /);
    // eslint-disable-next-line no-control-regex -- the colour is looked for
    expect(terminal.screen({ colours: true })).toMatch(/\u001b\[31m(\u001b\[49m)?down/);

    terminal.press('End');
    await terminal.until((screen) => screen.includes('4975–5000 of 5000'));
    terminal.press('Home', 'PageDown', 'Down');
    await terminal.until((screen) => screen.includes('28–53 of 5000'));
    terminal.type('/15.160');
    terminal.press('Enter');
    await terminal.until((screen) => screen.includes('1–1 of 1 ') && screen.includes('filter: 15.160'));
    terminal.press('Escape');
    await terminal.until((screen) => screen.includes('of 5000'));
    terminal.type('n');
    await terminal.until((screen) => screen.includes('1–1 of 1 '));

    terminal.resize(60, 12);
    const small = await terminal.until((screen) => screen.split('\n').length <= 13 && screen.includes('only not Up'));
    expect(small.split('\n').filter((line) => line.length > 60)).toEqual([]);
    terminal.resize(110, 30);
    agent.sessions = manySessions(3, () => ({ liveness_status: 'init' }));
    await terminal.until((screen) => screen.includes('3 sessions: 3 init') && screen.includes('1–3 of 3'));

    terminal.type('q');
    await isRestored(0);
  });

  it('has no colours with NO_COLOR', async () => {
    await open({ NO_COLOR: '1' });
    expect(terminal.screen({ colours: true })).not.toContain('\u001b');
    terminal.press('C-c');
    await isRestored(0);
  });

  it('says that the agent has gone, shows the last sessions, and goes on when it is back', async () => {
    await open();
    await agent.close();
    await terminal.until((screen) => /No answer since .*control\.sock/.test(screen) && screen.includes('10.201.15.160'));
    agent.sessions = manySessions(2);
    await agent.listen(join(folder, 'control.sock'));
    await terminal.until((screen) => screen.includes('2 sessions: 2 up'));
    terminal.type('q');
    await isRestored(0);
  });

  it('gives the terminal back when it fails, and when it is suspended', async () => {
    await open();
    terminal.press('C-z');
    await terminal.until(() => !terminal.state.alternate);
    expect(terminal.state.cursor).toBe(true);
    terminal.type('fg');
    terminal.press('Enter');
    await terminal.until((screen) => screen.includes('5000 sessions'));
    // No agent answers so.
    agent.handler = (_, response) => json(response, 200, { at: AT, sessions: [null] });
    const screen = await terminal.until(() => !terminal.state.alternate);
    expect(screen).toMatch(/TypeError|null/);
  });
});
