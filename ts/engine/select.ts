/** Chooses the engine of a manager and starts it. */
import { LivenessError, messageOf, toError } from '../base/errors.js';
import type { UDPService } from '../protocol/udp-service.js';
import type { Binding } from './native/binding.js';
import type { Engine, EngineListener, EngineOptions } from './engine.js';
import { JsEngine } from './js/js-engine.js';
import { startAfterPredecessor } from './native/handover-request.js';
import { loadBinding } from './native/load.js';
import { NativeEngine } from './native/native-engine.js';

export type EngineChoice = 'auto' | 'native' | 'js';

/** What decides the choice. */
export interface EngineSelection {
  readonly choice: EngineChoice;
  /** The user's transport, which needs the JavaScript engine. */
  readonly udp: UDPService | undefined;
  /** Ends the wait for a predecessor that is to hand over. */
  readonly signal?: AbortSignal | undefined;
}

/** Starts the engine of a manager. */
export type EngineFactory = (selection: EngineSelection, options: EngineOptions, listener: EngineListener) => Promise<Engine>;

/**
 * Starts an engine. `auto` is the native engine if the addon loads, otherwise the JavaScript engine, with a warning that says
 * why. The environment variable ROUTE_LIVENESS_ENGINE overrides the choice.
 *
 * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`, or the system's error if the address cannot be bound
 */
export const startEngine: EngineFactory = async ({ choice, udp, signal }, options, listener) => {
  const chosen = overridden(choice);
  if (udp !== undefined) {
    if (chosen === 'native')
      throw new LivenessError('ERR_ENGINE_UNAVAILABLE', 'A transport of your own (`udp`) runs on the JavaScript engine');
    return startJs(options, listener, udp);
  }
  if (chosen === 'js') return startJs(options, listener);
  const loaded = tryLoad();
  if (loaded.binding !== undefined) return startNative(loaded.binding, options, listener, signal);
  if (chosen === 'native') throw loaded.error;
  return startJs(options, listener, undefined, messageOf(loaded.error));
};

/** Where a predecessor has the state file and lives, it is asked to hand over. */
async function startNative(
  binding: Binding,
  options: EngineOptions,
  listener: EngineListener,
  signal: AbortSignal | undefined,
): Promise<Engine> {
  const start = (): Engine => new NativeEngine(binding, options, listener);
  return options.resume === undefined ? start() : startAfterPredecessor(start, options.resume, signal);
}

/** Fails if the JavaScript engine cannot enforce what the protocol or an option asks for. */
async function startJs(options: EngineOptions, listener: EngineListener, udp?: UDPService, reason?: string): Promise<Engine> {
  const unchecked = resumeMissing(options) ?? ttlCheckMissing(options);
  if (unchecked !== undefined) {
    const why = reason === undefined ? '' : ` ${reason}`;
    throw new LivenessError('ERR_ENGINE_UNAVAILABLE', `${unchecked}${why}`);
  }
  return JsEngine.start(options, listener, udp, reason);
}

/** Sessions that go on before JavaScript runs again are the native engine's. */
function resumeMissing({ resume }: EngineOptions): string | undefined {
  return resume === undefined ? undefined : '`resume` needs the native engine: only its thread goes on with the sessions of a predecessor.';
}

function ttlCheckMissing({ protocol, minTtl }: EngineOptions): string | undefined {
  if (protocol === 'liveness') {
    return minTtl === undefined ? undefined : "`minTtl` needs the native engine: Node tells no packet's TTL.";
  }
  // RFC 5881 §5: a packet with another TTL than 255 crossed a router.
  if (minTtl === 1) return undefined;
  return "BFD checks the TTL of packets, which needs the native engine: Node tells no packet's TTL. `minTtl: 1` runs BFD without the check.";
}

function tryLoad(): { binding: Binding } | { binding: undefined; error: Error } {
  try {
    return { binding: loadBinding() };
  } catch (error) {
    return { binding: undefined, error: toError(error) };
  }
}

function overridden(choice: EngineChoice): EngineChoice {
  const override = process.env['ROUTE_LIVENESS_ENGINE'];
  if (override === undefined || override === '') return choice;
  if (override === 'auto' || override === 'native' || override === 'js') return override;
  throw new LivenessError('ERR_ENGINE_UNAVAILABLE', `Expected ROUTE_LIVENESS_ENGINE to be auto, native or js, got "${override}"`);
}
