/** Holds answers to the description of the control API. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import addFormats from 'ajv-formats';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

import type { Reply } from './agent-helpers.js';

const FILE = fileURLToPath(new URL('../../docs/openapi.yaml', import.meta.url));

interface Described {
  readonly $ref?: string;
  readonly content?: Record<string, { readonly schema: object }>;
}

interface Operation {
  readonly requestBody?: Described;
  readonly responses: Record<string, Described>;
}

interface Description {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly responses: Record<string, Described> };
}

export const DESCRIPTION = parse(readFileSync(FILE, 'utf8')) as Description;

/** Every operation with each status that it may be answered with, as `GET /sessions 200`. */
export function describedAnswers(): string[] {
  return Object.entries(DESCRIPTION.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { responses }]) =>
      Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
    ),
  );
}

export class OpenApi {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  /** The answers that were held to the description. */
  readonly seen = new Set<string>();

  constructor() {
    (addFormats as unknown as (ajv: Ajv2020) => void)(this.#ajv);
    this.#ajv.addSchema(DESCRIPTION, 'api');
  }

  /** What is wrong with an answer, and with the request if it was accepted. */
  faults(method: string, path: string, reply: Reply, body?: unknown): string[] {
    const operation = DESCRIPTION.paths[path]?.[method.toLowerCase()];
    const response = operation?.responses[String(reply.status)];
    if (operation === undefined || response === undefined) return [`${method} ${path} is not described with ${reply.status}`];
    this.seen.add(`${method} ${path} ${reply.status}`);
    const type = reply.headers['content-type']?.split(';')[0] ?? '';
    const described = this.#resolved(response).content?.[type];
    if (described === undefined) return [`${method} ${path} ${reply.status} is not described with ${type}`];
    const answer = type === 'application/json' ? this.#faultsOf(described.schema, reply.json) : [];
    const schema = operation.requestBody?.content?.['application/json']?.schema;
    return schema === undefined || reply.status >= 300 ? answer : [...answer, ...this.#faultsOf(schema, body)];
  }

  /** What is wrong with an event of the stream. */
  faultsOfEvent(event: unknown): string[] {
    return this.#faultsOf({ $ref: '#/components/schemas/AgentEvent' }, JSON.parse(JSON.stringify(event)));
  }

  #resolved(response: Described): Described {
    const name = response.$ref?.split('/').at(-1);
    return name === undefined ? response : (DESCRIPTION.components.responses[name] ?? {});
  }

  #faultsOf(schema: object, value: unknown): string[] {
    const text = JSON.stringify(schema).replaceAll('"#/', '"api#/');
    const validate: ValidateFunction = this.#ajv.compile(JSON.parse(text) as object);
    return validate(value) ? [] : (validate.errors ?? []).map(({ instancePath, message = '' }) => `${instancePath} ${message}`);
  }
}
