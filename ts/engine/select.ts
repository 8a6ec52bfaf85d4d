/** Which engine serves a manager. */
import { LivenessError, messageOf, toError } from '../base/errors.js';
import type { UDPService } from '../protocol/udp-service.js';
import type { Binding } from './native/binding.js';
import type { Engine, EngineListener, EngineOptions } from './engine.js';
import { JsEngine } from './js/js-engine.js';
import { loadBinding } from './native/load.js';
import { NativeEngine } from './native/native-engine.js';

export type EngineChoice = 'auto' | 'native' | 'js';

/** What decides over the engine. */
export interface EngineSelection {
  readonly choice: EngineChoice;
  /** A transport of the user's: it runs on the JavaScript engine. */
  readonly udp: UDPService | undefined;
}

/** How a manager gets its engine. */
export type EngineFactory = (wish: EngineSelection, options: EngineOptions, listener: EngineListener) => Promise<Engine>;

/**
 * Starts an engine: `auto` takes the native one where it loads, else the JavaScript one with a warning that says why. The
 * environment's ROUTE_LIVENESS_ENGINE overrides the choice.
 *
 * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`, or the system's error where the address cannot be bound
 */
export const startEngine: EngineFactory = async ({ choice, udp }, options, listener) => {
  const chosen = overridden(choice);
  if (udp !== undefined) {
    if (chosen === 'native')
      throw new LivenessError('ERR_ENGINE_UNAVAILABLE', 'A transport of your own (`udp`) runs on the JavaScript engine');
    return startJs(options, listener, udp);
  }
  if (chosen === 'js') return startJs(options, listener);
  const loaded = tryLoad();
  if (loaded.binding !== undefined) return new NativeEngine(loaded.binding, options, listener);
  if (chosen === 'native') throw loaded.error;
  return startJs(options, listener, undefined, messageOf(loaded.error));
};

/** What is asked of it for safety, and what it cannot do, keeps it from starting. */
async function startJs(options: EngineOptions, listener: EngineListener, udp?: UDPService, reason?: string): Promise<Engine> {
  if (options.minTtl !== undefined) {
    const why = reason === undefined ? '' : ` ${reason}`;
    throw new LivenessError('ERR_ENGINE_UNAVAILABLE', `\`minTtl\` needs the native engine: Node tells no packet's TTL.${why}`);
  }
  return JsEngine.start(options, listener, udp, reason);
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
