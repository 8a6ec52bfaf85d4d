/** The alert rules of examples/alerts.yaml: Prometheus accepts them, each fires and does not, and the guide has each. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';
import { parse } from 'yaml';

import { describeWhere, lacking } from '../netns/needs.js';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const read = (path: string): string => readFileSync(at(path), 'utf8');

interface Rules {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface Tests {
  readonly tests: readonly { readonly promql_expr_test: readonly { readonly expr: string; readonly exp_samples: readonly unknown[] }[] }[];
}

const rules = (parse(read('examples/alerts.yaml')) as Rules).groups.flatMap((group) => group.rules);

function promtool(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  expect(stderr + stdout).toContain('SUCCESS');
  expect(status).toBe(0);
}

describeWhere('the alert rules', lacking(['promtool']), () => {
  it('are accepted by Prometheus', () => {
    promtool('check', 'rules', at('examples/alerts.yaml'));
  });

  it('fire when they should, and not before', () => {
    promtool('test', 'rules', at('test/operator/alerts.test.yaml'));
  });
});

it('every alert has a test in which it fires, and one in which it does not yet', () => {
  const tests = (parse(read('test/operator/alerts.test.yaml')) as Tests).tests.flatMap((test) => test.promql_expr_test);
  const namesOf = (fires: boolean): Set<string> =>
    new Set(tests.filter((it) => it.exp_samples.length > 0 === fires).flatMap(({ expr }) => /alertname="(\w+)"/.exec(expr)?.[1] ?? []));
  const names = new Set(rules.map(({ alert }) => alert));
  expect(names.size).toBe(rules.length);
  expect(namesOf(true)).toEqual(names);
  expect(namesOf(false)).toEqual(names);
});

it('the guide says of every alert what it means, and of no other', () => {
  const headings = [...read('docs/operating.md').matchAll(/^#{2,4} (Liveness\w+)$/gm)].map((match) => match[1] ?? '');
  expect(headings.toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
});

it('alerts and dashboard name no metric that the page on metrics does not have', () => {
  const page = read('docs/metrics.md');
  const texts = [...rules.map(({ expr }) => expr), read('examples/dashboard.json')].join('\n');
  const named = new Set(texts.match(/(?<=\bliveness_)[a-z_]+/g)?.map((name) => name.replace(/_(bucket|count|sum)$/, '')));
  expect(named.size).toBeGreaterThan(20);
  expect([...named].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
