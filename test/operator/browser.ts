/** A headless Chromium with one page, which notes whatever goes wrong in it. */
import { spawnSync } from 'node:child_process';

import { type Browser, chromium, type Page } from 'playwright-core';

export interface OpenPage {
  readonly page: Page;
  /** Errors of scripts, and what the policy of the page forbade. */
  readonly faults: string[];
  close(): Promise<void>;
}

/** Opens an address. Failures to load are no faults: an agent may be gone. */
export async function openPage(
  url: string,
  options: { colorScheme?: 'light' | 'dark'; size?: { width: number; height: number } } = {},
): Promise<OpenPage> {
  const executablePath = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim();
  // Chromium's sandbox does not run as root.
  const browser: Browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const { colorScheme = 'light', size = { width: 1280, height: 800 } } = options;
  const page = await browser.newPage({ colorScheme, viewport: size });
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !text.startsWith('Failed to load resource') && !text.includes('net::ERR_')) faults.push(text);
  });
  await page.goto(url);
  return { page, faults, close: () => browser.close() };
}
