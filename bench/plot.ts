/** Plots as SVG: bars, and nothing that a reader needs a legend's legend for. */
import type { CostRow } from './sections/cost.js';
import type { SimulatedRow } from './sections/growth.js';

const COLOURS: Readonly<Record<string, string>> = {
  floor: '#9aa5b1',
  dgram: '#9aa5b1',
  native: '#d97706',
  filtered: '#d97706',
  js: '#2563eb',
  core: '#d97706',
};
const ROW = 18;
const LABEL = 190;
const WIDTH = 760;

interface Bar {
  readonly label: string;
  readonly kind: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

/** CPU per packet pair of each subject at each load. */
export function costPlot(rows: readonly CostRow[]): string {
  const bars = rows.map(({ sessions, intervalMs, subject, microsPerPair: { median, min, max } }) => ({
    label: `${sessions} × ${intervalMs} ms, ${subject}`,
    kind: subject,
    value: median,
    min,
    max,
  }));
  return plot('CPU per packet pair, µs (user and system; lines: least to most of the runs)', bars);
}

/** The core alone: cost of an event by the number of sessions. */
export function simulatedPlot(rows: readonly SimulatedRow[]): string {
  const bars = rows.map(({ sessions, nanosPerEvent: { median, min, max } }) => ({
    label: `${sessions} sessions`,
    kind: 'core',
    value: median,
    min,
    max,
  }));
  return plot('The core alone: nanoseconds per event', bars);
}

function plot(title: string, bars: readonly Bar[]): string {
  const most = Math.max(1, ...bars.map(({ max }) => max));
  const x = (value: number): number => Math.round((value / most) * (WIDTH - LABEL - 60) * 10) / 10;
  const lines = bars.map(({ label, kind, value, min, max }, index) => {
    const y = 34 + index * ROW;
    const middle = y + ROW / 2 - 2;
    return [
      `<text x="${LABEL - 8}" y="${y + 11}" text-anchor="end">${label}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${x(value)}" height="${ROW - 4}" fill="${COLOURS[kind] ?? '#888'}"/>`,
      `<line x1="${LABEL + x(min)}" x2="${LABEL + x(max)}" y1="${middle}" y2="${middle}" stroke="#111"/>`,
      `<text x="${LABEL + x(max) + 6}" y="${y + 11}">${value.toFixed(1)}</text>`,
    ].join('\n');
  });
  const height = 44 + bars.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="20" font-size="13" font-weight="bold">${title}</text>
${lines.join('\n')}
</svg>
`;
}
