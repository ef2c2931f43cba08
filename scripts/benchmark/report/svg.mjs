// SVG by hand: a picture with a card of its own behind it, in light or dark as the reader's system is.

/** Of each target: one colour for all plots, which can be told apart on both cards. */
export const COLOURS = {
  dmiofs: ['#1f6feb', '#58a6ff'],
  'dmiofs-writeback': ['#0f766e', '#2dd4bf'],
  'dmiofs-none': ['#6d4fc4', '#b39dfa'],
  'dmiofs-threads': ['#4c78a8', '#86b6e6'],
  'dmiofs-null': ['#2c5aa0', '#79a8e0'],
  peer: ['#c2570c', '#f0883e'],
  'fuse-floor': ['#6e7781', '#9aa4af'],
  'fuse-null': ['#8c959f', '#7d8590'],
  'raw-floor': ['#afb8c1', '#575e66'],
  'one-leg': ['#8a6d3b', '#c9a86a'],
};

const LIGHT = { card: '#ffffff', edge: '#d0d7de', text: '#1f2328', faint: '#59636e', grid: '#e3e7eb' };
const DARK = { card: '#0d1117', edge: '#30363d', text: '#e6edf3', faint: '#9198a1', grid: '#262c34' };
const FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif";

export const escape = (text) =>
  String(text).replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one]);

/** Coordinates to a tenth of a pixel: the files stay small, and change only where figures do. */
const number = (value) => (typeof value === 'number' ? String(Math.round(value * 10) / 10) : value);

export function element(name, attributes, content = '') {
  const list = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escape(number(value))}"`)
    .join('');
  return content === '' ? `<${name}${list}/>` : `<${name}${list}>${content}</${name}>`;
}

/** `kind` is a class: text, faint, small, title; `anchor` start, middle or end. */
export const text = (x, y, content, kind = 'text', anchor = 'start') =>
  element(
    'text',
    { x, y, class: kind, 'text-anchor': anchor === 'start' ? undefined : anchor },
    escape(content),
  );

export const line = (x1, y1, x2, y2, kind = 'grid') => element('line', { x1, y1, x2, y2, class: kind });

export const rect = (x, y, width, height, target, extra = {}) =>
  element('rect', { x, y, width: Math.max(0.5, width), height, rx: 1.5, class: `fill-${target}`, ...extra });

const theme = (colours, at) =>
  [
    `.card{fill:${colours.card};stroke:${colours.edge}}`,
    `text{fill:${colours.text}}.faint,.small{fill:${colours.faint}}`,
    `.grid{stroke:${colours.grid}}.axis{stroke:${colours.faint}}.goal{stroke:${colours.faint};stroke-dasharray:3 3}`,
    `.spread{stroke:${colours.text};stroke-opacity:.55}`,
    ...Object.entries(COLOURS).map(
      ([target, pair]) =>
        `.fill-${target}{fill:${pair[at]}}.line-${target}{stroke:${pair[at]};fill:none;stroke-width:2}`,
    ),
  ].join('');

/** The whole picture. `title` is also what a screen reader says. */
export function picture(width, height, title, subtitle, content) {
  const style = [
    `text{font:12px ${FONT}}.title{font-size:16px;font-weight:600}.head{font-weight:600}.small{font-size:10.5px}`,
    theme(LIGHT, 0),
    `@media (prefers-color-scheme:dark){${theme(DARK, 1)}}`,
  ].join('');
  const parts = [
    element('title', {}, escape(title)),
    `<style>${style}</style>`,
    element('rect', { x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 8, class: 'card' }),
    text(20, 30, title, 'title'),
    text(20, 49, subtitle, 'faint'),
    ...content,
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n${parts.join('\n')}\n</svg>\n`;
}

/** Swatches with their names, from `x` on. */
export function legend(x, y, entries) {
  const parts = [];
  let at = x;
  for (const { target, label } of entries) {
    parts.push(rect(at, y - 9, 10, 10, target), text(at + 15, y, label, 'faint'));
    at += 15 + label.length * 7.2 + 16;
  }
  return parts.join('');
}

/** 12345 as 12.3k: three figures that count. */
export function short(value) {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ]) {
    if (value >= size)
      return `${(value / size).toPrecision(value / size >= 100 ? 3 : 2 + (value / size >= 10))}${unit}`;
  }
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
