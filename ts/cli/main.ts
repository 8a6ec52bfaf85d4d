#!/usr/bin/env node
/** `route-liveness`: the command line. */
import { createRequire } from 'node:module';

import { agent, demo } from './demo.js';
import { events } from './events.js';
import { status } from './status.js';
import { watch } from './watch.js';

const HELP = `route-liveness: knows within milliseconds whether the path to each peer works

Usage:
  route-liveness demo       two hosts on this machine: a path comes up, is cut, and heals, before your eyes (15 s)
  route-liveness status     the sessions of an agent, worst first
  route-liveness watch      the sessions of an agent in this terminal, live
  route-liveness events     what happens to the sessions and routes of an agent, as it happens
  route-liveness --help     this text
  route-liveness --version  the version of the package

The demo uses two network namespaces and the kernel's routing tables where it runs as root, and two loopback addresses
and a routing table in memory where it does not. It leaves nothing behind.
`;

async function main([command, ...rest]: readonly string[]): Promise<number> {
  switch (command) {
    case 'demo':
      return demo();
    case 'demo-agent':
      return agent(rest);
    case 'status':
      return status(rest);
    case 'watch':
      return watch(rest);
    case 'events':
      return events(rest);
    case '--version':
    case '-v':
      process.stdout.write(`${version()}\n`);
      return 0;
    case '--help':
    case '-h':
    case undefined:
      process.stdout.write(HELP);
      return 0;
    default:
      process.stderr.write(`Unknown command \`${command}\`.\n\n${HELP}`);
      return 2;
  }
}

function version(): string {
  // Bundled, this file lies in dist, one below the package's root.
  return (createRequire(import.meta.url)('../package.json') as { version: string }).version;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
