/** The page of the agent in a real browser. */
import { readFileSync } from 'node:fs';

import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { TransitionEvent } from '../../ts/agent/control-api.js';
import { pageAnswer } from '../../ts/agent/http/page.js';
import { describeWhere, lacking } from '../netns/needs.js';
import { AT, manySessions, routeView, sessionView } from './agent-views.js';
import { CannedAgent } from './canned-agent.js';
import { type OpenPage, openPage } from './browser.js';

const TEXT = readFileSync(new URL('../../ts/agent/page.html', import.meta.url), 'utf8');
const PEER = '10.201.0.7';

/** The page as an agent sends it: nothing runs but what is in the file. */
function pageOf(text: string): { text: string; headers: Record<string, string> } {
  const { type, headers = {} } = pageAnswer(text);
  return { text, headers: { 'content-type': type, ...headers } };
}

const down = (view: Partial<TransitionEvent> = {}): TransitionEvent => ({
  type: 'transition',
  at: AT,
  manager: 'fabric',
  iface: 'eth1',
  local_ip: '10.201.0.1',
  peer_ip: PEER,
  from: 'up',
  to: 'down',
  reason: 'timeout',
  cause: 'detect_timeout',
  local_stall_ms: 0,
  silence_ms: 150.2,
  count: 1,
  local_diag: null,
  remote_diag: null,
  ...view,
});

describeWhere('the page', lacking(['chromium']), () => {
  let agent: CannedAgent;
  let open: OpenPage;

  beforeEach(async () => {
    agent = await CannedAgent.listen();
    agent.page = pageOf(TEXT);
    agent.sessions = manySessions(20);
  });

  afterEach(async () => {
    await open.close();
    await agent.close();
  });

  const show = async (options: Parameters<typeof openPage>[1] = {}): Promise<Page> => {
    open = await openPage(agent.url, options);
    await open.page
      .getByRole('status')
      .filter({ hasText: /session/ })
      .first()
      .waitFor();
    return open.page;
  };
  const rows = (page: Page) => page.locator('tbody tr.row');
  const first = (page: Page) => rows(page).first();
  // What runs in the page is text: the types of this project have no browser.
  const activePeer = (page: Page): Promise<string | undefined> =>
    page.evaluate<string | undefined>(`document.querySelector('tr.active td:nth-child(4)')?.textContent`);
  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + 15_000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`the page shows:\n${await open.page.locator('body').innerText()}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  };

  it('shows every session, the worst first, and breaks no rule of its policy', async () => {
    agent.sessions = manySessions(20, (index) => (index === 7 ? { liveness_status: 'down', reason: 'timeout', local_stall_ms: 120 } : {}));
    const page = await show();
    expect(await rows(page).count()).toBe(20);
    expect(await first(page).innerText()).toMatch(
      /^down\t1 h 0 min\tfabric\t10\.201\.0\.7\teth1\t.*timeout, we were 120 ms late\t10\.9\.0\.7\/32$/s,
    );
    expect(await page.locator('#summary').innerText()).toBe('20 sessions: 1 down, 19 up');
    expect(await page.title()).toBe('(1 not Up) route-liveness');
    expect(open.faults).toEqual([]);
  });

  it('filters by text and by state, and sorts by a column in both directions', async () => {
    agent.sessions = manySessions(20, (index) => ({ flaps: index, ...(index < 3 ? { liveness_status: 'init' } : {}) }));
    const page = await show();
    await page.getByLabel('Filter').fill('10.9.0.13/32');
    expect(await rows(page).count()).toBe(1);
    expect(await page.locator('#count').innerText()).toBe('1 of 20');
    await page.getByLabel('Filter').fill('');
    await page.getByLabel('State').selectOption('not up');
    expect(await rows(page).count()).toBe(3);
    await page.getByLabel('State').selectOption('');
    await page.getByRole('button', { name: 'Flaps' }).click();
    expect(await first(page).innerText()).toContain('10.201.0.0');
    await page.getByRole('button', { name: 'Flaps' }).click();
    expect(await first(page).innerText()).toContain('10.201.0.19');
    expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('descending');
    expect(open.faults).toEqual([]);
  });

  it('shows a Down as it happens, and the last flaps of a session with their reasons and our own delay', async () => {
    agent.push(down({ at: '2026-11-26T11:30:00.000Z', local_stall_ms: 140 }));
    agent.push(down({ at: '2026-11-26T11:30:01.000Z', from: 'down', to: 'up', reason: 'timeout', silence_ms: null }));
    const page = await show();
    agent.sessions = manySessions(20, (index) => (index === 7 ? { liveness_status: 'down', reason: 'timeout', local_stall_ms: 0 } : {}));
    agent.push(down());
    await until(async () => (await first(page).innerText()).startsWith('down'));
    await first(page).click();
    await page.getByRole('heading', { name: `Session with ${PEER}` }).waitFor();
    const entries = await page.locator('#timeline li').allInnerTexts();
    expect(entries).toHaveLength(3);
    expect(entries[0]).toMatch(
      /^2026-11-2\d \d\d:00:00\.000\nup → down: timeout\nThe peer was silent for 150 ms\.\nThis host was not late: the peer or the path\./,
    );
    expect(entries[1]).toMatch(/down → up$/);
    expect(entries[2]).toMatch(/up → down: timeout\n.*\nThis host was 140 ms late itself: look here first\./);
    expect(await page.locator('#strip').getAttribute('aria-label')).toBe('The last hour: 2 times Down, now down');
    // An event while the details are shown.
    agent.push(down({ at: '2026-11-26T12:00:01.000Z', from: 'down', to: 'init', reason: 'none', silence_ms: null }));
    await until(async () => (await page.locator('#timeline li').count()) === 4);
    expect(open.faults).toEqual([]);
  });

  it('is walked by keyboard alone: filter, views, columns, rows, details', async () => {
    agent.sessions = manySessions(200);
    const page = await show();
    const focused = (): Promise<string> => page.evaluate<string>(`document.activeElement.id || document.activeElement.textContent`);
    const order: string[] = [];
    for (let presses = 0; presses < 17; presses += 1) {
      await page.keyboard.press('Tab');
      order.push(await focused());
    }
    expect(order.slice(0, 6)).toEqual(['show-sessions', 'show-routes', 'filter', 'state', 'table', 'State']);
    expect(order).toContain('Routes');
    await page.keyboard.press('/');
    expect(await focused()).toBe('filter');
    await page.keyboard.type('10.9.0.1');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('table');
    // 10.9.0.1, .10 to .19, .100 to .199.
    expect(await page.locator('#count').innerText()).toBe('111 of 200');
    const sorted = await activePeer(page);
    await page.keyboard.press('ArrowDown');
    expect(await activePeer(page)).not.toBe(sorted);
    await page.keyboard.press('End');
    const last = await activePeer(page);
    await page.keyboard.press('PageUp');
    expect(await activePeer(page)).not.toBe(last);
    await page.keyboard.press('End');
    expect(await activePeer(page)).toBe(last);
    const active = page.locator(`[id="${(await page.locator('#table').getAttribute('aria-activedescendant')) ?? ''}"]`);
    expect(await active.getAttribute('aria-rowindex')).toBe('112');
    await expect.poll(() => page.evaluate<string>(`getComputedStyle(document.querySelector('tr.active')).outlineStyle`)).toBe('solid');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Session with ${last ?? ''}` }).waitFor();
    await page.keyboard.press('Escape');
    expect(await page.locator('#details').isVisible()).toBe(false);
    expect(await focused()).toBe('table');
    expect(open.faults).toEqual([]);
  });

  it('keeps 5 000 sessions with some hundred elements, scrolls to the last, and keeps up with their changes', async () => {
    agent.sessions = manySessions(5_000);
    const page = await show();
    expect(await page.locator('#table').getAttribute('aria-rowcount')).toBe('5001');
    expect(await rows(page).count()).toBeLessThan(100);
    await page.getByRole('button', { name: 'Peer' }).click();
    await page.evaluate(`document.getElementById('scroll').scrollTop = 1e9`);
    await until(async () => (await rows(page).last().innerText()).includes('10.201.19.135'));
    agent.sessions = manySessions(5_000, (index) => (index === 4_999 ? { liveness_status: 'init' } : {}));
    await until(async () => (await rows(page).last().innerText()).startsWith('init'));
    expect(open.faults).toEqual([]);
  });

  it('shows routes with what failed', async () => {
    agent.routes = [
      routeView(),
      routeView({ dst: '10.9.0.3/32', rt_status: 'absent', last_error: 'EEXIST: taken by another', origin: 'api' }),
    ];
    const page = await show();
    await page.getByRole('button', { name: 'Routes' }).first().click();
    await until(async () => (await rows(page).count()) === 2);
    expect(await first(page).innerText()).toMatch(/^absent\tup\t.*10\.9\.0\.3\/32\t.*\tEEXIST: taken by another; from the API$/s);
    expect(open.faults).toEqual([]);
  });

  it('says when the agent cannot be reached, keeps what it showed, and goes on with a new agent', async () => {
    agent.push(down());
    const page = await show();
    const port = Number(new URL(agent.url).port);
    await agent.close();
    await page.getByRole('alert').filter({ hasText: 'The agent cannot be reached since' }).waitFor();
    expect(await rows(page).count()).toBe(20);
    agent.begin();
    agent.sessions = manySessions(4);
    await agent.listen(port);
    await until(async () => (await rows(page).count()) === 4);
    expect(await page.getByRole('alert').isVisible()).toBe(false);
    agent.push(down({ peer_ip: '10.201.0.2', reason: 'remote_admin', silence_ms: null }));
    await page.getByText('10.201.0.2', { exact: true }).click();
    await until(async () => (await page.locator('#timeline li').allInnerTexts()).some((text) => text.includes('remote_admin')));
    expect(open.faults).toEqual([]);
  });

  it('gets events although the agent refused them first', async () => {
    agent.refusesEvents = true;
    const page = await show();
    await until(() => Promise.resolve(agent.asked.some((path) => path.startsWith('/events'))));
    agent.refusesEvents = false;
    await until(() => Promise.resolve(agent.readers === 1));
    agent.push(down());
    await page.getByText(PEER, { exact: true }).click();
    await until(async () => (await page.locator('#timeline li').count()) === 1);
  });

  it('keeps no stream of events while nobody sees it, and goes on where it was', async () => {
    agent.push(down());
    const page = await show();
    await until(() => Promise.resolve(agent.readers === 1));
    const turn = (hidden: boolean): Promise<unknown> =>
      page.evaluate(
        `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'));`,
      );
    await turn(true);
    await until(() => Promise.resolve(agent.readers === 0));
    agent.push(down({ from: 'down', to: 'up', reason: 'none', silence_ms: null }));
    await turn(false);
    await page.getByText(PEER, { exact: true }).click();
    await until(async () => (await page.locator('#timeline li').count()) === 2);
    expect(agent.asked.filter((path) => path.startsWith('/events'))).toEqual(['/events?after=0', '/events?after=1']);
    expect(open.faults).toEqual([]);
  });

  it('text of others is text: no element, no script', async () => {
    const evil = '<img src=x onerror=alert(1)><script>alert(2)</script>';
    agent.sessions = [sessionView({ iface: evil, peer_version: evil, routes: [evil] })];
    agent.routes = [routeView({ last_error: evil })];
    agent.push(down({ peer_ip: '10.201.0.2', iface: evil, remote_diag: evil }));
    const page = await show();
    let dialogs = 0;
    page.on('dialog', (dialog) => {
      dialogs += 1;
      void dialog.dismiss();
    });
    await first(page).click();
    await until(async () => (await page.locator('#timeline').innerText()).includes(evil));
    await page.getByRole('button', { name: 'Routes' }).first().click();
    await until(async () => (await first(page).innerText()).includes(evil));
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('script').count()).toBe(1);
    expect(dialogs).toBe(0);
    expect(open.faults).toEqual([]);
  });

  it('is light or dark as the reader prefers, with enough contrast in both', async () => {
    agent.sessions = manySessions(4, (index) => ({ liveness_status: (['down', 'init', 'admin_down', 'up'] as const)[index] ?? 'up' }));
    const page = await show({ colorScheme: 'light' });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const colour = async (selector: string, property: string): Promise<number[]> => {
        const text = await page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).${property}`);
        return (text.match(/[\d.]+/g) ?? []).map(Number);
      };
      const back = await colour('body', 'backgroundColor');
      expect(luminance(back) > 0.5).toBe(colorScheme === 'light');
      // WCAG 2.2, 1.4.3: 4.5 to 1.
      for (const selector of ['body', 'td.bad', 'td.warn', 'td.quiet', 'td.good', '#agent']) {
        expect(contrast(await colour(selector, 'color'), back)).toBeGreaterThan(4.5);
      }
    }
  });

  it('fits a narrow window: the details are below the table', async () => {
    const page = await show({ size: { width: 500, height: 800 } });
    await first(page).click();
    const [table, details] = [await page.locator('#scroll').boundingBox(), await page.locator('#details').boundingBox()];
    expect(details?.y ?? 0).toBeGreaterThan(table?.y ?? 0);
    expect(await page.evaluate<number>(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(500);
  });
});

/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
function luminance(colour: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(first: readonly number[], second: readonly number[]): number {
  const [light = 0, dark = 0] = [luminance(first), luminance(second)].sort((one, other) => other - one);
  return (light + 0.05) / (dark + 0.05);
}
