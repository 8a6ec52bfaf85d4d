/** The arguments of the commands that ask an agent. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { DEFAULT_SOCKET } from '../agent/control-api.js';
import { didYouMean } from '../base/nearest-name.js';
import type { ControlAddress } from './control-client.js';

type Options = NonNullable<ParseArgsConfig['options']>;

const ADDRESS_OPTIONS = {
  socket: { type: 'string' },
  url: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies Options;

/** For the `--help` of each of them. */
export const ADDRESS_HELP = `  --socket PATH   the agent's control socket. Default: ${DEFAULT_SOCKET}
  --url URL       the agent's address where it listens on a port, such as http://127.0.0.1:9810
  --help          this text`;

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Arguments {
  readonly help: boolean;
  readonly address: ControlAddress;
  /** The values of an option that may be given several times. */
  all(name: string): readonly string[];
  one(name: string): string | undefined;
  has(name: string): boolean;
}

/**
 * Reads the arguments of a command that has these options beside the common ones.
 * @throws UsageError for an option that is not known, lacks its value or contradicts another
 */
export function clientArguments(args: readonly string[], options: Options): Arguments {
  const values = parse(args, { ...ADDRESS_OPTIONS, ...options });
  return {
    help: values['help'] === true,
    address: addressOf(values),
    all: (name) => [values[name] ?? []].flat().map(String),
    one: (name) => (values[name] === undefined ? undefined : String(values[name])),
    has: (name) => values[name] === true,
  };
}

/** The value of an option that has to be one of some words. @throws UsageError */
export function oneOf<Word extends string>(option: string, value: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found === undefined)
    throw new UsageError(`Expected ${option} to be ${words.join(', ')}, got \`${value}\`${didYouMean(value, words)}`);
  return found;
}

type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

function parse(args: readonly string[], options: Options): Values {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const { message } = error as Error;
    // Node's message goes on with how to pass such a text as an argument.
    const [first = message] = message.split('. To specify');
    const name = /'--([^' ]+)'/.exec(message)?.[1];
    const isUnknown = message.startsWith('Unknown option');
    throw new UsageError(isUnknown && name !== undefined ? `${first}${didYouMean(name, Object.keys(options))}` : first, { cause: error });
  }
}

function addressOf({ socket, url }: Values): ControlAddress {
  if (url === undefined) return { socket: typeof socket === 'string' ? socket : DEFAULT_SOCKET };
  if (socket !== undefined) throw new UsageError('--socket and --url name two agents: give one of them');
  const parsed = URL.canParse(String(url)) ? new URL(String(url)) : undefined;
  if (parsed?.protocol !== 'http:') throw new UsageError(`Expected --url to be like http://127.0.0.1:9810, got \`${String(url)}\``);
  return { url: parsed };
}
