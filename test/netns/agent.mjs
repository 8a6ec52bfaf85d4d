// A process with one manager on one host of a lab. It obeys lines of JSON, `[id, method, ...arguments]`, answers
// `{ id, result }` or `{ id, error }`, and prints every event as it comes; a standstill of JavaScript before it begins.
import { closeSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';

import { Manager, NetlinkRoutes } from 'route-liveness';

/** Pauses the main thread for a while, as a person with a debugger would. A worker's console goes through that thread. */
const DEBUGGER = `
  const { writeSync } = require('node:fs');
  const { Session } = require('node:inspector');
  const { parentPort, workerData } = require('node:worker_threads');
  const session = new Session();
  session.connectToMainThread();
  session.once('Debugger.paused', () => {
    writeSync(1, '{"event":"standstill"}\\n');
    const began = performance.now();
    setTimeout(() => session.post('Debugger.resume', () => parentPort.postMessage(performance.now() - began)), workerData);
  });
  session.post('Debugger.enable', () => session.post('Debugger.pause'));
  // A session does not keep its thread alive.
  setInterval(() => undefined, 1_000);
`;

let manager;
let backend;

/** What an administrator would see: the lines that are written at the default level, and when. */
const logged = [];
const logger = {
  child: () => logger,
  trace() {},
  debug() {},
  info: (fields, message) => note('info', fields, message),
  warn: (fields, message) => note('warn', fields, message),
  error: (fields, message) => note('error', fields, message),
};

const methods = {
  async start({ takeOver = false, nextHopObjects = false, ...config }) {
    const netlinker = new NetlinkRoutes({ takeOver, nextHopObjects });
    manager = await Manager.start({ netlinker, logger, ...config });
    manager.on('transition', (transition) => print({ event: 'transition', at: Date.now(), ...transition }));
    manager.on('handover', () => print({ event: 'handover', at: Date.now() }));
    manager.on('error', (error) => print({ event: 'fatal', at: Date.now(), error: describe(error) }));
    manager.on('route', ({ error, ...operation }) => print({ event: 'route', at: Date.now(), ...operation, error: describe(error) }));
    return manager.localAddr();
  },
  /** A backend by itself, without a manager. */
  backend(options) {
    backend = new NetlinkRoutes(options);
  },
  /** From now on the losses that the backend notices are events. */
  watch() {
    const lost = (routes, how) => routes.forEach((route) => print({ event: 'loss', at: Date.now(), route, how }));
    const failed = (error) => print({ event: 'loss', at: Date.now(), error: describe(error) });
    backend.watchRoutes({ lost, failed });
  },
  /** Spins: no timer, no event, no promise gets its turn. */
  block(milliseconds) {
    print({ event: 'standstill' });
    const until = Date.now() + milliseconds;
    while (Date.now() < until);
  },
  /** As `block`, until a file is there. */
  blockUntil(file) {
    print({ event: 'standstill' });
    const until = Date.now() + 30_000;
    const asleep = new Int32Array(new SharedArrayBuffer(4));
    while (!existsSync(file) && Date.now() < until) Atomics.wait(asleep, 0, 0, 5);
  },
  /** Makes garbage, so that the collector has to run again and again. Gives how often it ran. */
  async litter(milliseconds) {
    let collections = 0;
    const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
    observer.observe({ entryTypes: ['gc'] });
    const until = Date.now() + milliseconds;
    let kept = [];
    while (Date.now() < until) {
      // Some of it lives long enough to be moved to the old generation.
      kept.push(Array.from({ length: 1_000 }, (_, index) => ({ index, text: `${index}` })));
      if (kept.length > 200) kept = kept.slice(150);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    observer.disconnect();
    return collections;
  },
  /** Stands still as at a breakpoint. Gives for how long, in milliseconds. */
  async breakpoint(milliseconds) {
    // What the debugger stops is the next statement that is run.
    const busy = setInterval(() => undefined, 10);
    const worker = new Worker(DEBUGGER, { eval: true, workerData: milliseconds });
    try {
      return await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    } finally {
      clearInterval(busy);
      await worker.terminate();
    }
  },
  /** Closes the engine's socket under it: its thread cannot go on. */
  breakSocket() {
    const { port } = manager.localAddr();
    const inodes = readFileSync('/proc/self/net/udp', 'utf8').match(
      new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} .*`, 'g'),
    );
    const ours = new Set(inodes.map((line) => `socket:[${line.trim().split(/\s+/)[8]}]`));
    for (const fd of readdirSync('/proc/self/fd')) if (ours.has(linkOf(fd))) closeSync(Number(fd));
  },
  logged: () => logged,
  resumed: () => manager.resumed,
  closed: () => manager.closed,
  /** Bytes, and microseconds of all threads so far. */
  usage: () => {
    const { user, system } = process.cpuUsage();
    return { rss: process.memoryUsage.rss(), cpu: user + system };
  },
  sessions: () =>
    manager
      .getSessions()
      .map((session) => ({ ...session, routes: session.routes.map((it) => ({ ...it, lastError: describe(it.lastError) })) })),
  stats: () => manager.stats(),
  close: (options) => manager.close(options),
};
for (const name of ['routeAdd', 'routeReplace', 'routeDelete', 'routeHolds', 'routeByProtocol', 'placedRoutes']) {
  methods[name] = (...values) => backend[name](...values);
}
for (const name of [
  'registerRoute',
  'registerRoutes',
  'registerSession',
  'withdrawSession',
  'withdrawRoute',
  'adminDownRoute',
  'adminUpRoute',
  'hold',
  'release',
  'ping',
  'adoptRoutes',
  'sweepRoutes',
]) {
  methods[name] = (...values) => manager[name](...values);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [id, method, ...values] = JSON.parse(line);
  Promise.resolve()
    .then(() => methods[method](...values))
    .then((result) => print({ id, result }))
    .catch((error) => print({ id, error: describe(error) }));
}

/** Of a descriptor that is closed meanwhile, nothing. */
function linkOf(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

function note(level, fields, message) {
  logged.push({ at: Date.now(), level, kind: message.replace(/\d+/g, '#'), message });
}

function describe(error) {
  return error && { code: error.code, message: error.message };
}

function print(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
