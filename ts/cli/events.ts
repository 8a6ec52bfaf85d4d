/** `route-liveness events`: what happens to the sessions and routes of an agent, as it happens. */
import { ADDRESS_HELP, type Arguments } from './client-arguments.js';
import { type ClientCommand, runClient } from './client-command.js';
import { ControlClient } from './control-client.js';
import { EventFollower, type NumberedEvent } from './event-stream.js';
import { eventText } from './event-text.js';
import { EXIT } from './exit-status.js';
import { painterFor, type Painter } from './paint.js';
import { clock } from './times.js';

const HELP = `route-liveness events: follows what happens to sessions and routes

Usage: route-liveness events [options]

  --peer ADDRESS  transitions and holds of sessions with this peer alone
  --manager NAME  only of this manager of the configuration
  --json          one object a line, with the number of the event as "id"
${ADDRESS_HELP}

Ends when it is interrupted. After an interruption of the stream it goes on behind the last event; "gap" says which events the
agent does not have any more. What concerns the stream itself is on stderr.

Exit status: 0 it was interrupted, or its reader is gone; 2 the command line is wrong; 3 the agent cannot be asked.
`;

const COMMAND: ClientCommand = {
  help: HELP,
  options: { peer: { type: 'string' }, manager: { type: 'string' }, json: { type: 'boolean' } },
  run: follow,
};

/** Runs the command. Gives the exit status. */
export function events(args: readonly string[]): Promise<number> {
  return runClient(COMMAND, args);
}

async function follow(given: Arguments): Promise<number> {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  const say = (text: string): boolean => process.stderr.write(`[events] ${text}\n`);
  const listener = {
    interrupted: (why: string) => say(`interrupted: ${why}; trying again`),
    resumed: (isNew: boolean) =>
      say(isNew ? 'the agent was started anew; going on with its first event' : 'the agent answers again; going on behind the last event'),
  };
  const follower = new EventFollower(new ControlClient(given.address), listener, end.signal);
  const write = given.has('json') ? writeJson : writerOfText(painterFor(process.stdout));
  for await (const numbered of follower.events()) {
    if (isWanted(numbered, given)) write(numbered);
  }
  return EXIT.ok;
}

/** Gaps and reloads concern everybody. */
function isWanted({ event }: NumberedEvent, given: Arguments): boolean {
  const [peer, manager] = [given.one('peer'), given.one('manager')];
  if (manager !== undefined && 'manager' in event && event.manager !== manager) return false;
  if (peer === undefined || event.type === 'gap' || event.type === 'reload') return true;
  return 'peer_ip' in event && (event.peer_ip === peer || event.peer_ip === null);
}

function writeJson({ id, event }: NumberedEvent): void {
  process.stdout.write(`${JSON.stringify({ id, ...event })}\n`);
}

function writerOfText(paint: Painter): (numbered: NumberedEvent) => void {
  return ({ event }) => {
    const { kind, text, paint: colour } = eventText(event);
    const word = kind.padEnd(10);
    process.stdout.write(`${clock(event.at, { precise: true })}  ${colour === undefined ? word : paint(colour, word)}  ${text}\n`);
  };
}
