/** What a reload cannot change, since it belongs to sockets, threads and files that are open. */
import { isDeepStrictEqual } from 'node:util';

import type { AgentConfig } from './config/agent-config.js';
import type { ManagerSettings, PassedConfig } from './config/manager-section.js';

/** The fields of a manager that a reload changes: the timers are given with each registration, the rest is read when it is used. */
const LIVE_FIELDS: ReadonlySet<string> = new Set(['txMin', 'rxMin', 'detectMult', 'onClose'] satisfies (keyof PassedConfig)[]);

/** The fields that differ and need a restart of the agent, by their paths in the new file. */
export function restartFields(from: AgentConfig, to: AgentConfig): string[] {
  const [before, after] = [
    new Map(from.managers.map((manager) => [manager.name, manager])),
    new Map(to.managers.map((it) => [it.name, it])),
  ];
  const gone = [...before.keys()].filter((name) => !after.has(name)).map((name) => `managers (\`${name}\` is no longer there)`);
  const managers = to.managers.flatMap((manager, index) => {
    const known = before.get(manager.name);
    if (known === undefined) return [`managers[${index}] (\`${manager.name}\` is new)`];
    return managerFields(known, manager).map((name) => `managers[${index}].${name}`);
  });
  return [...differing('control', from.control, to.control), ...differing('metrics', from.metrics, to.metrics), ...gone, ...managers];
}

function managerFields(from: ManagerSettings, to: ManagerSettings): string[] {
  const own = (['backend', 'takeOver'] as const).filter((name) => from[name] !== to[name]);
  const names = Object.keys(to.resolved).concat(Object.keys(from.resolved)) as (keyof ManagerSettings['resolved'])[];
  const passed = [...new Set(names)].filter((name) => {
    return name !== 'netlinker' && !LIVE_FIELDS.has(name) && !isDeepStrictEqual(from.resolved[name], to.resolved[name]);
  });
  return [...own, ...passed];
}

function differing<T extends object>(section: string, from: T, to: T): string[] {
  return (Object.keys(from) as (keyof T & string)[])
    .filter((name) => !isDeepStrictEqual(from[name], to[name]))
    .map((name) => `${section}.${name}`);
}
