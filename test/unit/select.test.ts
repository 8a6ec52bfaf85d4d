/** Which engine serves, and what is said where the addon does not load. Every test loads the modules anew: loading is cached. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { EngineOptions } from '../../ts/engine/engine.js';
import type { EngineChoice } from '../../ts/engine/select.js';
import { FakeUDP, newLog } from './fake-udp.js';
import { ENGINE_OPTIONS } from './engine-options.js';

const folder = mkdtempSync(join(tmpdir(), 'route-liveness-select-'));
const written = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const MISSING = join(folder, 'missing.node');
const BROKEN = written('broken.node', 'this is no addon');
const OLD = written('old.cjs', "exports.version = () => '0.0.1';");
const STRANGE = written('strange.cjs', 'exports.nothing = 1;');
const LACKING = written('lacking.cjs', "require('a-module-that-is-not-there');");
const CUT_OFF = join(folder, 'cut-off.node');
writeFileSync(CUT_OFF, readFileSync(builtAddon()).subarray(0, 1_000_000));

function builtAddon(): string {
  const folder = join(import.meta.dirname, '../../dist/native');
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.node')) ?? '');
}

/** Why an addon does not load, and what the error has to say. */
const CANDIDATES: [string, string, RegExp][] = [
  ['missing', MISSING, /not found/],
  ['no addon at all', BROKEN, /too short|invalid ELF/],
  ['built for another version', OLD, /built for version 0\.0\.1, this package is \d/],
  ['something else', STRANGE, /version/],
  ['lacking a module of its own', LACKING, /a-module-that-is-not-there/],
  ['cut off, which would end the process with SIGBUS', CUT_OFF, /cut off: \d+ bytes are missing/],
];

const BFD_OPTIONS: EngineOptions = { ...ENGINE_OPTIONS, protocol: 'bfd' };

beforeEach(() => {
  vi.resetModules();
  vi.stubEnv('ROUTE_LIVENESS_ENGINE', undefined);
  vi.stubEnv('ROUTE_LIVENESS_BINDING', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.doUnmock('node:module');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Starts a manager with newly loaded modules; gives which engine serves, and what was warned of. */
async function serve(engine: EngineChoice | undefined, udp?: FakeUDP, minTtl?: number): Promise<{ engine: string; warnings: string[] }> {
  const { Manager, MemoryRoutes } = await import('../../ts/index.js');
  const log = newLog();
  const manager = await Manager.start({
    netlinker: new MemoryRoutes(),
    bindIP: '127.0.0.1',
    port: 0,
    txMin: 50,
    rxMin: 50,
    detectMult: 3,
    logger: log.logger,
    engine,
    udp,
    minTtl,
  });
  const served = manager.engine;
  await manager.close();
  return { engine: served, warnings: log.of('warn').map(({ message }) => message) };
}

describe('with an addon that loads', () => {
  it.each<[string, EngineChoice | undefined]>([
    ['nothing', undefined],
    ['auto', 'auto'],
    ['native', 'native'],
  ])('%s starts the native engine, without a warning', async (_, choice) => {
    expect(await serve(choice)).toEqual({ engine: 'native', warnings: [] });
  });

  it('js starts the JavaScript engine, which warns once of what it lacks', async () => {
    const { engine, warnings } = await serve('js');
    expect(engine).toBe('js');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /It lacks pktinfo, interfaceBinding, arrivalTime, armedRoutes, independentOfEventLoop, realtime, nextHopObjects/,
    );
  });

  it.each(['auto', 'native', 'js'] as const)('the environment overrides the configuration: %s', async (override) => {
    vi.stubEnv('ROUTE_LIVENESS_ENGINE', override);
    const other = override === 'js' ? 'native' : 'js';
    expect((await serve(other)).engine).toBe(override === 'js' ? 'js' : 'native');
  });

  it('an empty override is ignored, and an invalid one is refused with the valid values', async () => {
    vi.stubEnv('ROUTE_LIVENESS_ENGINE', '');
    expect((await serve('js')).engine).toBe('js');
    vi.stubEnv('ROUTE_LIVENESS_ENGINE', 'wasm');
    const message = expect.stringMatching(/ROUTE_LIVENESS_ENGINE.*auto, native or js.*wasm/) as string;
    await expect(serve('js')).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', message });
  });

  it('a transport of the user runs on the JavaScript engine', async () => {
    expect(await serve('auto', new FakeUDP())).toMatchObject({
      engine: 'js',
      warnings: [expect.not.stringContaining('pktinfo') as string],
    });
    expect((await serve('js', new FakeUDP())).engine).toBe('js');
  });

  it('minTtl starts the native engine, and is refused by the JavaScript engine', async () => {
    expect(await serve('auto', undefined, 255)).toEqual({ engine: 'native', warnings: [] });
    const refused = { code: 'ERR_ENGINE_UNAVAILABLE', message: expect.stringContaining('`minTtl`') as string };
    await expect(serve('js', undefined, 255)).rejects.toMatchObject(refused);
    await expect(serve('auto', new FakeUDP(), 255)).rejects.toMatchObject(refused);
  });

  it('a state file is refused by the JavaScript engine, chosen or fallen back to', async () => {
    const { startEngine } = await import('../../ts/engine/select.js');
    const ignore = (): void => undefined;
    const listener = { sessions: ignore, routes: ignore, warning: ignore, fatal: ignore };
    const options = { ...ENGINE_OPTIONS, resume: join(folder, 'state') };
    const refused = { code: 'ERR_ENGINE_UNAVAILABLE', message: expect.stringContaining('`resume`') as string };
    await expect(startEngine({ choice: 'js', udp: undefined }, options, listener)).rejects.toMatchObject(refused);
    await expect(startEngine({ choice: 'auto', udp: new FakeUDP() }, options, listener)).rejects.toMatchObject(refused);
    vi.stubEnv('ROUTE_LIVENESS_BINDING', MISSING);
    vi.resetModules();
    const { startEngine: withoutAddon } = await import('../../ts/engine/select.js');
    const both = { code: 'ERR_ENGINE_UNAVAILABLE', message: expect.stringMatching(/`resume`[^]*not found/) as string };
    await expect(withoutAddon({ choice: 'auto', udp: undefined }, options, listener)).rejects.toMatchObject(both);
  });

  it('BFD is refused by the JavaScript engine unless its TTL check is given up with a minTtl of 1 (RFC 5881 §5)', async () => {
    const { startEngine } = await import('../../ts/engine/select.js');
    const start = async (minTtl: number | undefined, udp?: FakeUDP): Promise<string> => {
      const ignore = (): void => undefined;
      const listener = { sessions: ignore, routes: ignore, warning: ignore, fatal: ignore };
      const engine = await startEngine({ choice: udp === undefined ? 'js' : 'auto', udp }, { ...BFD_OPTIONS, minTtl }, listener);
      await engine.close({ adminDown: false });
      return engine.kind;
    };
    const refused = { code: 'ERR_ENGINE_UNAVAILABLE', message: expect.stringContaining('`minTtl: 1`') as string };
    for (const minTtl of [undefined, 2, 255]) {
      await expect(start(minTtl)).rejects.toMatchObject(refused);
      await expect(start(minTtl, new FakeUDP())).rejects.toMatchObject(refused);
    }
    expect(await start(1)).toBe('js');
    expect(await start(1, new FakeUDP())).toBe('js');
  });

  it('a transport of the user with the native engine is refused, also if the environment asks for it', async () => {
    await expect(serve('native', new FakeUDP())).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
    vi.stubEnv('ROUTE_LIVENESS_ENGINE', 'native');
    await expect(serve('auto', new FakeUDP())).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
  });
});

describe.each(CANDIDATES)('with an addon that is %s', (_, path, why) => {
  beforeEach(() => {
    vi.stubEnv('ROUTE_LIVENESS_BINDING', path);
  });

  it('auto starts the JavaScript engine, with one warning that has the reason', async () => {
    const { engine, warnings } = await serve('auto');
    expect(engine).toBe('js');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(path);
    expect(warnings[0]).toMatch(why);
  });

  it('native is refused with the same reason', async () => {
    const { LivenessError } = await import('../../ts/index.js');
    const refused = await serve('native').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(LivenessError);
    expect(refused).toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', message: expect.stringMatching(why) as string });
    expect((refused as Error).message).toContain(path);
  });

  it('NetlinkRoutes throws, since no thread could move routes', async () => {
    const { NetlinkRoutes } = await import('../../ts/index.js');
    const refusal: unknown = expect.objectContaining({ code: 'ERR_NETLINK_UNAVAILABLE', message: expect.stringContaining(path) as string });
    expect(() => new NetlinkRoutes()).toThrow(refusal);
  });

  it('listenUDP returns a transport over a socket of Node', async () => {
    const { listenUDP } = await import('../../ts/protocol.js');
    const service = await listenUDP('127.0.0.1', 0);
    await expect(service.writeTo(Buffer.from('x'), { address: '127.0.0.1', port: 9 }, 'lo', '127.0.0.2')).rejects.toMatchObject({
      code: 'ERR_INVALID_ADDRESS',
    });
    await service.close();
    await expect(listenUDP('0.0.0.0', 0)).rejects.toMatchObject({ code: 'ERR_INVALID_ADDRESS' });
    await expect(listenUDP('192.0.2.1', 0)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });
});

describe('without ROUTE_LIVENESS_BINDING', () => {
  /** Loading goes by what this says of each candidate. */
  function requires(outcome: (candidate: string) => Error): string[] {
    const tried: string[] = [];
    vi.doMock('node:module', () => ({
      createRequire: () => (candidate: string) => {
        tried.push(candidate);
        throw outcome(candidate);
      },
    }));
    return tried;
  }

  it('the error lists every candidate: the package’s own build, then the platform package', async () => {
    const tried = requires((candidate) => Object.assign(new Error(`Cannot find module '${candidate}'`), { code: 'MODULE_NOT_FOUND' }));
    const { warnings } = await serve('auto');
    expect(tried).toEqual([expect.stringMatching(/dist\/native\/route-liveness\.linux-\w+-(gnu|musl)\.node$/)]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`${tried[0]}: not found`);
    expect(warnings[0]).toMatch(/- route-liveness-linux-\w+-(gnu|musl): not found/);
  });

  it('the error says how to install a platform package that is not found', async () => {
    requires((candidate) => Object.assign(new Error(`Cannot find module '${candidate}'`), { code: 'MODULE_NOT_FOUND' }));
    expect((await serve('auto')).warnings[0]).toContain('npm install --include=optional route-liveness');
  });

  it('a candidate that exists and is broken ends the search', async () => {
    const tried = requires(() => new Error('invalid ELF header'));
    const { warnings } = await serve('auto');
    expect(tried).toHaveLength(1);
    expect(warnings[0]).toContain('invalid ELF header');
    expect(warnings[0]).not.toContain('- route-liveness-');
  });

  it('the error says which option of Node forbids addons', async () => {
    requires(() => Object.assign(new Error('Cannot load native addon'), { code: 'ERR_DLOPEN_DISABLED' }));
    expect((await serve('auto')).warnings[0]).toContain('--allow-addons');
  });
});

describe('without a logger', () => {
  /** The codes of the warnings of the process while a manager starts on an engine. */
  async function warningsOf(
    engine: EngineChoice,
    options: { realtime?: { cpu: number }; filterRepeats?: boolean } = {},
  ): Promise<string[]> {
    const codes: string[] = [];
    const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation((_, options) => {
      const code = (options as { code?: string } | undefined)?.code;
      if (code?.startsWith('ERR_') === true) codes.push(code);
    });
    const { Manager, MemoryRoutes } = await import('../../ts/index.js');
    const config = { netlinker: new MemoryRoutes(), bindIP: '127.0.0.1', port: 0, txMin: 50, rxMin: 50, detectMult: 3 };
    const manager = await Manager.start({ ...config, engine, ...options });
    await manager.close();
    emitWarning.mockRestore();
    return codes;
  }

  it('falling to the JavaScript engine warns the process', async () => {
    vi.stubEnv('ROUTE_LIVENESS_BINDING', MISSING);
    expect(await warningsOf('auto')).toEqual(['ERR_ENGINE_UNAVAILABLE']);
  });

  it('the JavaScript engine that was asked for does not warn the process', async () => {
    expect(await warningsOf('js')).toEqual([]);
  });

  it.each(['native', 'js'] as const)('a setting of `realtime` that the %s engine cannot have warns the process', async (engine) => {
    // A CPU that no machine has.
    expect(await warningsOf(engine, { realtime: { cpu: 1_023 } })).toEqual(['ERR_REALTIME_REFUSED']);
  });

  it('`filterRepeats` warns the process on the JavaScript engine, which has no filter', async () => {
    expect(await warningsOf('js', { filterRepeats: true })).toEqual(['ERR_FILTER_REFUSED']);
  });
});
