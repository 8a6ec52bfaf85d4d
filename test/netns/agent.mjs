// A process with one manager on one host of a lab. It obeys lines of JSON, `[id, method, ...arguments]`, answers
// `{ id, result }` or `{ id, error }`, and prints every event as it comes.
import { createInterface } from 'node:readline';

import { Manager, NetlinkRoutes } from 'route-liveness';

let manager;
let backend;

const methods = {
  async start({ takeOver = false, ...config }) {
    const netlinker = new NetlinkRoutes({ takeOver });
    manager = await Manager.start({ netlinker, ...config });
    manager.on('transition', (transition) => print({ event: 'transition', at: Date.now(), ...transition }));
    manager.on('route', ({ error, ...operation }) => print({ event: 'route', at: Date.now(), ...operation, error: describe(error) }));
    return manager.localAddr();
  },
  /** A backend by itself, without a manager. */
  backend(options) {
    backend = new NetlinkRoutes(options);
  },
  /** Spins: no timer, no event, no promise gets its turn. */
  block(milliseconds) {
    const until = Date.now() + milliseconds;
    while (Date.now() < until);
  },
  sessions: () =>
    manager
      .getSessions()
      .map((session) => ({ ...session, routes: session.routes.map((it) => ({ ...it, lastError: describe(it.lastError) })) })),
  stats: () => manager.stats(),
  close: (options) => manager.close(options),
};
for (const name of ['routeAdd', 'routeDelete', 'routeByProtocol']) {
  methods[name] = (...values) => backend[name](...values);
}
for (const name of ['registerRoute', 'registerRoutes', 'withdrawRoute', 'adminDownRoute', 'adminUpRoute', 'adoptRoutes', 'sweepRoutes']) {
  methods[name] = (...values) => manager[name](...values);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [id, method, ...values] = JSON.parse(line);
  Promise.resolve()
    .then(() => methods[method](...values))
    .then((result) => print({ id, result }))
    .catch((error) => print({ id, error: describe(error) }));
}

function describe(error) {
  return error && { code: error.code, message: error.message };
}

function print(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
