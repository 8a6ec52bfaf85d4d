#!/usr/bin/env node
/** `route-liveness`: the command line. Each command is loaded when it is called, since what the agent needs takes a while. */
import { didYouMean } from '../base/nearest-name.js';
import { VERSION } from '../base/version.js';
import type { Command } from './command.js';

const COMMANDS: readonly Command[] = [
  {
    name: 'demo',
    summary: 'two hosts on this machine: a path comes up, is cut, and heals, before your eyes (15 s)',
    run: async (args) => (await import('./demo.js')).demo(args),
  },
  {
    name: 'agent',
    summary: 'the daemon: sessions and routes of a configuration file, with a control API',
    run: async (args) => (await import('./agent.js')).agent(args),
  },
  {
    name: 'status',
    summary: 'the sessions of an agent, worst first',
    run: async (args) => (await import('./status.js')).status(args),
  },
  {
    name: 'watch',
    summary: 'the sessions of an agent in this terminal, live',
    run: async (args) => (await import('./watch.js')).watch(args),
  },
  {
    name: 'events',
    summary: 'what happens to the sessions and routes of an agent, as it happens',
    run: async (args) => (await import('./events.js')).events(args),
  },
];

/** What the demo runs on each of its hosts. */
const DEMO_HOST = 'demo-agent';

const WIDTH = Math.max(...COMMANDS.map(({ name }) => name.length), '--version'.length);

const HELP = `route-liveness: knows within milliseconds whether the path to each peer works

Usage:
${[
  ...COMMANDS,
  { name: '--help', summary: 'this text; behind a command, its own' },
  { name: '--version', summary: 'the version of the package' },
]
  .map(({ name, summary }) => `  route-liveness ${name.padEnd(WIDTH)}  ${summary}`)
  .join('\n')}
`;

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return 0;
  }
  if (name === DEMO_HOST) return (await import('./demo.js')).demoHost(args);
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command.run(args);
  const known = COMMANDS.map((candidate) => candidate.name);
  process.stderr.write(`Unknown command \`${name}\`${didYouMean(name, known)}.\n\n${HELP}`);
  return 2;
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
