/** Colours, for a terminal that has them. */
import type { LegStatus, SetStatus } from '../../mirror/status.js';

export type Paint = (text: string) => string;

export interface Palette {
  readonly red: Paint;
  readonly yellow: Paint;
  readonly green: Paint;
  readonly blue: Paint;
  readonly dim: Paint;
  readonly bold: Paint;
}

const code =
  (number: number): Paint =>
  (text) =>
    `\u001b[${String(number)}m${text}\u001b[0m`;
const plain: Paint = (text) => text;

export const COLOURS: Palette = {
  red: code(31),
  yellow: code(33),
  green: code(32),
  blue: code(36),
  dim: code(2),
  bold: code(1),
};
export const NO_COLOURS: Palette = {
  red: plain,
  yellow: plain,
  green: plain,
  blue: plain,
  dim: plain,
  bold: plain,
};

/** No colours in a file or a pipe, on a dumb terminal, or where $NO_COLOR is set (no-color.org). */
export function paletteFor(isTerminal: boolean, env: Readonly<NodeJS.ProcessEnv>): Palette {
  const wanted = isTerminal && env['TERM'] !== 'dumb' && (env['NO_COLOR'] ?? '') === '';
  return wanted ? COLOURS : NO_COLOURS;
}

export function paintOf(palette: Palette, state: SetStatus['state'] | LegStatus['state']): Paint {
  switch (state) {
    case 'complete':
    case 'in-sync':
      return palette.green;
    case 'degraded':
    case 'rebuilding':
      return palette.yellow;
    case 'failed':
    case 'missing':
      return palette.red;
    default:
      state satisfies never;
      return plain;
  }
}
