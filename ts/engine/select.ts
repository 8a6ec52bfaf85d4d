/** Which engine serves a manager. */
import { LivenessError } from '../errors.js';
import type { Engine, EngineListener, EngineOptions } from './engine.js';
import { loadBinding } from './load.js';
import { NativeEngine } from './native.js';

export type EngineChoice = 'auto' | 'native' | 'js';

/** How a manager gets its engine. */
export type EngineFactory = (choice: EngineChoice, options: EngineOptions, listener: EngineListener) => Engine;

/**
 * Starts an engine. The environment's ROUTE_LIVENESS_ENGINE overrides the choice.
 *
 * @throws LivenessError `ERR_ENGINE_UNAVAILABLE`, or the system's error where the address cannot be bound
 */
export const startEngine: EngineFactory = (choice, options, listener) => {
  const chosen = overridden(choice);
  if (chosen === 'js') throw new LivenessError('ERR_ENGINE_UNAVAILABLE', 'This version has no JavaScript engine');
  return new NativeEngine(loadBinding(), options, listener);
};

function overridden(choice: EngineChoice): EngineChoice {
  const override = process.env['ROUTE_LIVENESS_ENGINE'];
  if (override === undefined || override === '') return choice;
  if (override === 'auto' || override === 'native' || override === 'js') return override;
  throw new LivenessError('ERR_ENGINE_UNAVAILABLE', `Expected ROUTE_LIVENESS_ENGINE to be auto, native or js, got "${override}"`);
}
