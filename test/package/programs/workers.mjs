// Terminates workers that have a manager in each of its states, several times each, and prints what threads are left.
import { readdirSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { Manager, MemoryRoutes } from 'route-liveness';

const ROUNDS = Number(process.argv[2] ?? 5);

const start = (port) =>
  Manager.start({
    ...{ netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port, txMin: 50, rxMin: 50, detectMult: 3 },
    engine: process.env.ENGINE ?? 'native',
  });
const register = (manager, port) =>
  manager.registerRoute({ table: 254, dst: '127.0.0.2/32', src: '127.0.0.1', nextHop: '127.0.0.2', protocol: 186 }, 'lo', { port });
const ready = () => parentPort.postMessage('ready');

/** What the worker does before and after it says that it is ready. */
const STATES = {
  async loaded() {
    ready();
  },
  async starting() {
    const starting = start(0);
    ready();
    globalThis.manager = await starting;
  },
  async started() {
    globalThis.manager = await start(0);
    ready();
  },
  async registering() {
    const manager = await start(0);
    const registering = register(manager, 44880);
    ready();
    await registering;
  },
  async registered() {
    const manager = await start(0);
    await register(manager, 44880);
    ready();
  },
  async 'with events unread'() {
    const manager = await start(0);
    manager.on('transition', () => undefined);
    await register(manager, 44880);
    ready();
    // The event loop takes no event any more.
    for (;;) Math.random();
  },
  async 'asking for sessions'() {
    const manager = await start(0);
    await register(manager, 44880);
    ready();
    for (;;) manager.getSessions();
  },
  async withdrawing() {
    const manager = await start(0);
    for (let table = 1; ; table = (table % 250) + 1) {
      const route = { table, dst: '127.0.0.2/32', src: '127.0.0.1', nextHop: '127.0.0.2', protocol: 186 };
      await manager.registerRoute(route, 'lo', { port: 44880 });
      if (table === 10) ready();
      await manager.withdrawRoute(route, 'lo');
    }
  },
  async closing() {
    const manager = await start(0);
    await register(manager, 44880);
    const closing = manager.close();
    ready();
    await closing;
  },
  async closed() {
    const manager = await start(0);
    await manager.close();
    ready();
  },
  async 'two managers'() {
    globalThis.managers = [await start(0), await start(0)];
    ready();
  },
  async exiting() {
    globalThis.manager = await start(0);
    ready();
    process.exit(0);
  },
};

const threads = () => readdirSync('/proc/self/task').length;

if (isMainThread) {
  // The first workers start threads of Node's own, which stay.
  await terminateInEveryState(1);
  const before = threads();
  await terminateInEveryState(ROUNDS);
  // A thread that has ended is listed until the kernel has buried it.
  const deadline = Date.now() + 10_000;
  while (threads() > before && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(JSON.stringify({ states: Object.keys(STATES).length, before, after: threads() }));
} else {
  // It stays until it is terminated.
  parentPort.on('message', () => undefined);
  await STATES[workerData]();
}

async function terminateInEveryState(rounds) {
  for (const state of Object.keys(STATES)) for (let round = 0; round < rounds; round += 1) await terminate(state);
}

async function terminate(state) {
  const worker = new Worker(import.meta.filename, { workerData: state });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
}
