/** `route-liveness status`: the sessions or routes of an agent, worst first. */
import { ADDRESS_HELP, type Arguments } from './client-arguments.js';
import { type ClientCommand, runClient } from './client-command.js';
import { ControlClient } from './control-client.js';
import { EXIT } from './exit-status.js';
import { FILTER_HELP, FILTER_OPTIONS, filterParameters, namesSomething } from './filter-options.js';
import { painterFor } from './paint.js';
import { routeColumns } from './route-columns.js';
import { sessionColumns } from './session-columns.js';
import { isInOrder, worstFirst, worstRouteFirst } from './severity.js';
import { summary } from './summary.js';
import { type Column, table } from './table.js';

const HELP = `route-liveness status: the sessions of an agent, worst first

Usage: route-liveness status [options]

${FILTER_HELP}
  --routes        routes in place of sessions
  --json          the answer of the control API, sorted alike
${ADDRESS_HELP}

"Never up" is a session that was not Up since it was registered. Colours are left out where NO_COLOR is set, or the output is
no terminal.

Exit status: 0 everything shown is Up (with --routes: and installed); 1 something is not, or nothing there is called as asked;
2 the command line is wrong; 3 the agent cannot be asked.
`;

const COMMAND: ClientCommand = {
  help: HELP,
  options: { ...FILTER_OPTIONS, routes: { type: 'boolean' }, json: { type: 'boolean' } },
  run: (given) => (given.has('routes') ? showRoutes(given) : showSessions(given)),
};

/** Runs the command. Gives the exit status. */
export function status(args: readonly string[]): Promise<number> {
  return runClient(COMMAND, args);
}

async function showSessions(given: Arguments): Promise<number> {
  const answer = await new ControlClient(given.address).sessions(filterParameters(given));
  const sessions = [...answer.sessions].sort(worstFirst);
  if (given.has('json')) writeJson({ ...answer, sessions });
  else writeTable(sessionColumns(sessions, Date.parse(answer.at)), sessions, summary(sessions));
  return exitStatus(given, sessions, ({ liveness_status }) => liveness_status === 'up');
}

async function showRoutes(given: Arguments): Promise<number> {
  const answer = await new ControlClient(given.address).routes(filterParameters(given));
  const routes = [...answer.routes].sort(worstRouteFirst);
  const present = routes.filter(({ rt_status }) => rt_status === 'present').length;
  const noun = routes.length === 1 ? 'route' : 'routes';
  if (given.has('json')) writeJson({ ...answer, routes });
  else writeTable(routeColumns(routes, Date.parse(answer.at)), routes, `${routes.length} ${noun}, ${present} installed`);
  return exitStatus(given, routes, isInOrder);
}

function exitStatus<Row>(given: Arguments, rows: readonly Row[], isGood: (row: Row) => boolean): number {
  const isMissing = rows.length === 0 && namesSomething(given) && given.all('state').length === 0;
  return isMissing || !rows.every(isGood) ? EXIT.notUp : EXIT.ok;
}

function writeTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], total: string): void {
  const paint = painterFor(process.stdout);
  // A terminal that does not know its width says 0.
  const width = process.stdout.columns > 0 ? process.stdout.columns : Infinity;
  if (rows.length > 0) process.stdout.write(table(columns, rows, paint, width));
  process.stdout.write(`${total}\n`);
}

function writeJson(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
}
