// A quantity over a few steps of another one (legs, sets, sizes).
import { legend, line, picture, short, text, element } from './svg.mjs';

const [WIDTH, HEIGHT] = [640, 340];
const [LEFT, RIGHT, TOP, BOTTOM] = [70, 30, 100, 50];

/** A round number at or above: 1, 2, 2.5, 5 times a power of ten. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

/** `series`: [{ target (its colour), label, points: [{ x, low, value, high }] }], each with the same x, which are texts. */
export function linePlot({ title, subtitle, xLabel, unit, series }) {
  const steps = series[0].points.map(({ x }) => x);
  const greatest = ceiling(Math.max(...series.flatMap(({ points }) => points.map(({ high }) => high))));
  const at = (index) => LEFT + ((index + 0.5) / steps.length) * (WIDTH - LEFT - RIGHT);
  const up = (value) => HEIGHT - BOTTOM - (value / greatest) * (HEIGHT - TOP - BOTTOM);
  const parts = [legend(20, 72, series)];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const value = greatest * part;
    parts.push(line(LEFT, up(value), WIDTH - RIGHT, up(value), part === 0 ? 'axis' : 'grid'));
    parts.push(text(LEFT - 8, up(value) + 4, value === 0 ? '0' : `${short(value)}${unit}`, 'small', 'end'));
  }
  for (const [index, step] of steps.entries())
    parts.push(text(at(index), HEIGHT - BOTTOM + 18, step, 'small', 'middle'));
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, xLabel, 'faint', 'middle'));
  for (const { target, points } of series) {
    const path = points
      .map(({ value }, index) => `${at(index).toFixed(1)},${up(value).toFixed(1)}`)
      .join(' ');
    parts.push(element('polyline', { points: path, class: `line-${target}` }));
    for (const [index, { low, value, high }] of points.entries()) {
      parts.push(line(at(index), up(low), at(index), up(high), 'spread'));
      parts.push(element('circle', { cx: at(index), cy: up(value), r: 3.5, class: `fill-${target}` }));
    }
  }
  return picture(WIDTH, HEIGHT, title, subtitle, parts);
}
