/** The page that shows sessions and routes in a browser. */
import { createHash } from 'node:crypto';

import type { Answer } from './answer.js';

/** The page with a policy that permits its own script and style, and nothing else: neither other sources, nor frames around it. */
export function pageAnswer(html: string): Answer {
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(html, 'script')}`,
    `style-src ${hashesOf(html, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    status: 200,
    type: 'text/html; charset=utf-8',
    body: html,
    headers: { 'Content-Security-Policy': policy.join('; '), 'X-Frame-Options': 'DENY' },
  };
}

/** The sources that a policy permits: the contents of the elements of a name, by their hashes. */
function hashesOf(html: string, element: 'script' | 'style'): string {
  const contents = [...html.matchAll(new RegExp(`<${element}\\b[^>]*>([\\s\\S]*?)</${element}>`, 'gi'))].map(([, content = '']) => content);
  const hashes = contents.map((content) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`);
  return hashes.length === 0 ? "'none'" : hashes.join(' ');
}
