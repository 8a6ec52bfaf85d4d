/** The recipes of the page on BFD: the configuration of a daemon, and the program of the agent that it runs with. */
import { type Page, samplesOf } from '../docs/pages.js';

export interface Recipe {
  /** The heading. */
  readonly title: string;
  readonly daemon: 'FRR' | 'BIRD';
  /** The configuration of the daemon. */
  readonly configuration: string;
  /** The program of the agent: what all recipes begin with, and what this one adds. */
  readonly program: string;
}

/** @throws Error where the page has no recipes, or one lacks a configuration or a program */
export function recipesOf(page: Page): Recipe[] {
  const recipes = partsOf(page, '##').find(({ title }) => title === 'Recipes');
  if (recipes === undefined) throw new Error(`${page.path} has no recipes`);
  const [beginning, ...parts] = partsOf(recipes.page, '###');
  const [shared = ''] = beginning === undefined ? [] : samplesOf(beginning.page);
  return parts.map((part) => recipeOf(part, shared));
}

interface Part {
  /** The heading; empty for what comes before the first. */
  readonly title: string;
  readonly page: Page;
}

/** The parts of a page that headings of a level begin. What looks like one in a configuration is a comment. */
function partsOf({ path, text }: Page, level: string): Part[] {
  const parts: { title: string; lines: string[] }[] = [{ title: '', lines: [] }];
  let isCode = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) isCode = !isCode;
    if (!isCode && line.startsWith(`${level} `)) parts.push({ title: line.slice(level.length + 1), lines: [] });
    else parts.at(-1)?.lines.push(line);
  }
  return parts.map(({ title, lines }) => ({ title, page: { path, text: lines.join('\n') } }));
}

function recipeOf({ title, page }: Part, shared: string): Recipe {
  const configurations = [...page.text.matchAll(/^```text\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
  const programs = samplesOf(page);
  const [configuration, program] = [configurations[0], programs[0]];
  if (configuration === undefined || program === undefined || configurations.length + programs.length !== 2) {
    throw new Error(`${title}: a recipe is one configuration and one program`);
  }
  // The comment in the first line names the file that the configuration belongs into.
  const daemon = configuration.includes('/etc/frr/frr.conf') ? 'FRR' : 'BIRD';
  return { title, daemon, configuration, program: `${shared}\n${program}` };
}
