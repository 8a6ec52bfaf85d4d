// Brings a session Up between two managers on loopback, and prints the engine that ran it.
import { Manager, MemoryRoutes } from 'route-liveness';

// Addresses of this process alone: programs that run at the same time do not meet.
const network = `127.${1 + (process.pid % 254)}.${1 + (Math.floor(process.pid / 254) % 254)}`;
const PATIENCE_MS = 30_000;

async function open(own, peer) {
  const manager = await Manager.start({
    ...{ netlinker: new MemoryRoutes(), bindIP: own, txMin: 50, rxMin: 50, detectMult: 5 },
    engine: process.env.ENGINE ?? 'auto',
  });
  const up = new Promise((resolve) => {
    manager.on('transition', ({ to }) => {
      if (to === 'up') resolve();
    });
  });
  await manager.registerRoute({ table: 254, dst: `${peer}/32`, src: own, nextHop: peer, protocol: 186 }, 'lo');
  return { manager, up };
}

async function run() {
  setTimeout(() => {
    console.error(`no session came Up within ${PATIENCE_MS} ms`);
    process.exit(1);
  }, PATIENCE_MS).unref();
  const [one, two] = [`${network}.1`, `${network}.2`];
  const ends = [await open(one, two), await open(two, one)];
  await Promise.all(ends.map(({ up }) => up));
  const { engine } = ends[0].manager;
  await Promise.all(ends.map(({ manager }) => manager.close()));
  if (engine === 'js' && process.env.ENGINE === undefined) await sayWhy();
  console.log(`Up on ${engine}, ${process.arch}, Node ${process.versions.node}`);
}

/** Why the native engine does not run. */
async function sayWhy() {
  const options = { netlinker: new MemoryRoutes(), bindIP: `${network}.1`, txMin: 50, rxMin: 50, detectMult: 5, engine: 'native' };
  await Manager.start(options).catch(({ message }) => console.log(message));
}

run().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
