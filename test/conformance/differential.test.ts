/** The same random input to both cores: equal outputs, to the microsecond and the byte. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { State } from '../../ts/protocol/state.js';
import type { AuthType } from '../../ts/protocol/bfd/options.js';
import { Replay, type Scenario, type ScenarioKey, type ScenarioOptions, type Step } from './replay.js';

const MANIFEST = new URL('../../crate/Cargo.toml', import.meta.url).pathname;
const BUILD = ['build', '--quiet', '--locked', '--manifest-path', MANIFEST, '--example', 'replay'];
const RUN = ['run', ...BUILD.slice(1)];

/** The first build of the crate takes a while. */
const BUILD_TIMEOUT_MS = 600_000;

const RUNS = Number(process.env['DIFFERENTIAL_RUNS'] ?? 300);

const OURS = 10;
const spans = fc.oneof(fc.nat(1_000), fc.nat(400_000), fc.nat(5_000_000));
const intervals = fc.oneof(fc.constantFrom(0, 50_000, 100_000, 1_000_000, 60_000_000, 60_000_001, 0xffff_ffff), fc.nat(3_000_000));
const wished = fc.integer({ min: 10_000, max: 2_000_000 });
const wishes = fc.record({ txMinUs: wished, rxMinUs: wished, detectMult: fc.integer({ min: 1, max: 50 }) });
const packets = fc.record({
  state: fc.constantFrom<State>('admin_down', 'down', 'init', 'up'),
  localDiscr: fc.constantFrom(0, 20, 20, 20, 21, 0xffff_ffff),
  peerDiscr: fc.constantFrom(0, OURS, OURS, OURS, 11),
  detectMult: fc.constantFrom(3, 3, 3, 1, 0, 255),
  desiredMinTxUs: intervals,
  requiredMinRxUs: intervals,
  passive: fc.boolean(),
});

const AUTH_TYPES: readonly AuthType[] = ['simple', 'md5', 'meticulous-md5', 'sha1', 'meticulous-sha1'];
const KEYS: readonly ScenarioKey[] = [
  { id: 1, secret: 'sesame' },
  { id: 2, secret: 'open' },
  { id: 1, secret: 'simsim' },
];
const options: fc.Arbitrary<ScenarioOptions> = fc.record({
  passive: fc.boolean(),
  auth: fc.option(
    fc.record({ type: fc.constantFrom(...AUTH_TYPES), keys: fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 2 }) }),
    { nil: undefined, freq: 1 },
  ),
});
const signs = fc.record({
  type: fc.constantFrom(...AUTH_TYPES),
  key: fc.constantFrom(...KEYS),
  sequence: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 0xffff_ffff })),
});
const bfdPackets = fc
  .record({
    state: fc.constantFrom<State>('admin_down', 'down', 'down', 'init', 'up', 'up'),
    diag: fc.nat(9),
    flag: fc.constantFrom('none', 'none', 'poll', 'final'),
    demand: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    localDiscr: fc.constantFrom(20, 20, 20, 21, 0xffff_ffff),
    peerDiscr: fc.constantFrom(0, OURS, OURS, OURS, 11),
    detectMult: fc.constantFrom(3, 3, 3, 1, 255),
    desiredMinTxUs: intervals,
    requiredMinRxUs: intervals,
    sign: fc.option(signs, { nil: undefined }),
  })
  .map(({ state, diag, flag, sign, peerDiscr, ...fields }) => ({
    state,
    // 9 stands for the reserved codes: the Rust core says 31 for each.
    diag: diag < 9 ? diag : 31,
    poll: flag === 'poll',
    final: flag === 'final',
    peerDiscr: state === 'init' || state === 'up' ? peerDiscr || OURS : peerDiscr,
    ...fields,
    ...(sign === undefined ? {} : { sign }),
  }));

type Input = { readonly after: number } & Omit<Step, 'atUs' | 'arrivalUs'> & { readonly age?: number };

/** What both protocols have. */
const commonInputs = [
  { weight: 3, arbitrary: fc.record({ after: spans, do: fc.constant('run' as const) }) },
  { weight: 1, arbitrary: fc.record({ after: spans, do: fc.constant('run' as const), lateUs: spans }) },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 60 })
      .map((bytes) => ({ after: 10, do: 'receive' as const, bytes: Buffer.from(bytes).toString('hex') })),
  },
  {
    weight: 1,
    arbitrary: fc.record({ after: spans, do: fc.constantFrom('adminDown' as const, 'adminUp' as const, 'socketDrops' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ after: spans, do: fc.constant('update' as const), timers: wishes }) },
];

const ages = fc.oneof(fc.constant(0), spans);
const inputs: fc.Arbitrary<Input> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ after: spans, do: fc.constant('receive' as const), packet: packets, age: ages }) },
  ...commonInputs,
);
/** Bytes that are nearly a packet of BFD, so that every check of a packet decides about some of them. */
const nearlyBfd = fc
  .record({ bytes: fc.uint8Array({ minLength: 24, maxLength: 60 }), length: fc.oneof(fc.constantFrom(24, 26, 33, 48, 52), fc.nat(60)) })
  .map(({ bytes, length }) => {
    bytes[0] = 0x20 | ((bytes[0] ?? 0) & 0x1f);
    bytes[3] = length;
    // Half of them name our session.
    if ((bytes[23] ?? 0) % 2 === 0) bytes.set([0, 0, 0, OURS], 8);
    return Buffer.from(bytes).toString('hex');
  });
const bfdInputs: fc.Arbitrary<Input> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ after: spans, do: fc.constant('receive' as const), bytes: nearlyBfd }) },
  { weight: 10, arbitrary: fc.record({ after: spans, do: fc.constant('receive' as const), bfd: bfdPackets, age: ages }) },
  { weight: 1, arbitrary: fc.record({ after: spans, do: fc.constant('options' as const), options }) },
  ...commonInputs,
);

const bfdScenarios: fc.Arbitrary<Scenario> = fc
  .record({
    seed: fc.nat(0xffff_ffff),
    limits: fc.record({
      minTxFloorUs: fc.constantFrom(10_000, 50_000),
      maxTxCeilUs: fc.constantFrom(1_000_000, 3_000_000),
      backoffMaxUs: fc.constant(1_000_000),
    }),
    timers: wishes,
    multihop: fc.boolean(),
    options: fc.option(options, { nil: undefined }),
    inputs: fc.array(bfdInputs, { minLength: 1, maxLength: 60 }),
  })
  .map(({ inputs, timers, multihop, options, ...rest }) => ({
    name: 'drawn',
    protocol: 'bfd',
    rules: 'rfc5880',
    ...rest,
    session: { localDiscr: OURS, ...timers, multihop, ...(options === undefined ? {} : { options }) },
    steps: timed(inputs),
  }));

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    rules: fc.constantFrom('robust' as const, 'reference' as const),
    seed: fc.nat(0xffff_ffff),
    limits: fc.record({
      minTxFloorUs: fc.constantFrom(10_000, 50_000),
      maxTxCeilUs: fc.constantFrom(1_000_000, 3_000_000),
      backoffMaxUs: fc.constantFrom(50_000, 1_000_000, 60_000_000),
    }),
    identity: fc.option(fc.record({ passive: fc.boolean(), version: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(5)) }), {
      nil: undefined,
    }),
    session: fc.record({
      localDiscr: fc.constant(OURS),
      txMinUs: fc.integer({ min: 10_000, max: 1_000_000 }),
      rxMinUs: fc.integer({ min: 10_000, max: 1_000_000 }),
      detectMult: fc.constantFrom(1, 2, 3, 255),
    }),
    inputs: fc.array(inputs, { minLength: 1, maxLength: 60 }),
  })
  .map(({ inputs, identity, ...rest }) => ({
    name: 'drawn',
    ...rest,
    ...(identity === undefined ? {} : { identity }),
    steps: timed(inputs),
  }));

/** Time never goes back, and begins late enough for any age. */
function timed(inputs: readonly Input[]): Step[] {
  let atUs = 10_000_000;
  const steps: Step[] = [{ atUs, do: 'start' }];
  for (const { after, age, ...input } of inputs) {
    atUs += after;
    steps.push({ atUs, ...input, ...(age === undefined ? {} : { arrivalUs: atUs - age }) });
  }
  return steps;
}

function replayed(scenario: Scenario): unknown[] {
  const replay = new Replay(scenario);
  return scenario.steps.map((step) => {
    replay.apply(step);
    return replay.observed();
  });
}

describe('both cores', () => {
  let rust: ChildProcessByStdio<Writable, Readable, null>;
  let answers: AsyncIterator<string>;

  beforeAll(() => {
    const built = spawnSync('cargo', BUILD, { stdio: 'inherit' });
    if (built.error !== undefined) throw new Error(`the Rust core cannot be built: ${built.error.message}`);
    if (built.status !== 0) throw new Error('the Rust core does not build');
    rust = spawn('cargo', RUN, { stdio: ['pipe', 'pipe', 'inherit'] });
    answers = createInterface({ input: rust.stdout })[Symbol.asyncIterator]();
  }, BUILD_TIMEOUT_MS);

  afterAll(() => {
    rust.stdin.end();
  });

  it.each([
    ['the liveness protocol', scenarios],
    ['BFD', bfdScenarios],
  ])('do the same with the same random input in %s', { timeout: 60_000 + RUNS * 50 }, async (_, drawn) => {
    await fc.assert(
      fc.asyncProperty(drawn, async (scenario) => {
        rust.stdin.write(`${JSON.stringify(scenario)}\n`);
        const answer = await answers.next();
        if (answer.done === true) throw new Error('the Rust core has ended');
        expect(replayed(scenario)).toEqual(JSON.parse(answer.value));
      }),
      { numRuns: RUNS },
    );
  });
});
