/**
 * The floors of ts/, from the top to the bottom: a file imports only from its own floor and from those below it. Imports of
 * types count, too.
 */
const FLOORS = ['cli', 'agent', 'entry', 'sim', 'manager', 'routes', 'engine', 'protocol', 'metrics', 'base'];

/** The files of a floor. The entries are the files at the root. */
const pathOf = (floor) => (floor === 'entry' ? '^ts/[^/]+\\.ts$' : `^ts/${floor}/`);

const upwards = FLOORS.slice(1).map((floor, index) => ({
  name: `${floor}-imports-downwards-only`,
  comment: `The floors are ${FLOORS.join(' > ')}: nothing in ${floor} imports from a floor above it.`,
  severity: 'error',
  from: { path: pathOf(floor) },
  to: { path: FLOORS.slice(0, index + 1).map(pathOf) },
}));

const insideEngine = [
  {
    name: 'native-engine-without-js-engine',
    comment: 'The two engines know nothing of each other: `engine/select.ts` chooses.',
    severity: 'error',
    from: { path: '^ts/engine/native/' },
    to: { path: ['^ts/engine/js/', '^ts/engine/select\\.ts$'] },
  },
  {
    name: 'js-engine-loads-the-addon-only',
    comment: 'The JavaScript engine asks the addon for one thing, the mark of its packets, and needs nothing else of `native/`.',
    severity: 'error',
    from: { path: '^ts/engine/js/' },
    to: { path: ['^ts/engine/native/(?!load\\.ts$)', '^ts/engine/select\\.ts$'] },
  },
];

/** The core reads no clock, opens nothing and calls nothing of Node's. */
const pureCore = {
  name: 'core-has-no-io',
  comment: 'Sessions, their timeline and the packet take time and bytes as arguments.',
  severity: 'error',
  from: {
    path: '^ts/(protocol/(packet|client-version|state|state-table|rules|jitter|liveness|protocol|session-core|timeline|heap|deadline-queue|delay-histogram|recent-delays)|engine/js/engine-core)\\.ts$',
  },
  to: { dependencyTypes: ['core'] },
};

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circular', comment: 'No circle of imports, of types neither.', severity: 'error', from: {}, to: { circular: true } },
    ...upwards,
    ...insideEngine,
    pureCore,
    {
      name: 'no-orphans',
      comment: 'A file that nothing imports is an entry, or dead.',
      severity: 'error',
      from: { orphan: true, path: '^ts/', pathNot: '\\.(json|d\\.cts)$' },
      to: {},
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs', '.json'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
