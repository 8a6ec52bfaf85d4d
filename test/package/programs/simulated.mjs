// Brings a session Up in the addon's simulation, and prints the engine and the processor: what can be had under an emulator
// that has not every option of a socket.
import { Simulation } from 'route-liveness/sim';

const world = new Simulation({ seed: 7, delay: 20, jitter: 5, loss: 0.02 });
const pair = world.connect(world.addHost(), world.addHost(), { txMin: 50, rxMin: 50, detectMult: 3 });
world.run(10_000);
const states = world.states(pair);
if (states.some((state) => state !== 'up')) throw new Error(`the sessions are ${states.join(' and ')}`);
console.log(`Up on native, ${process.arch}, Node ${process.versions.node}`);
