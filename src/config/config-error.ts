/** All that is wrong with a config, each with its place. */
import { DmiofsError } from '../errors.js';
import { formatPath, type KeyPath, type Position } from './positions.js';

export interface ConfigIssue {
  readonly position: Position;
  readonly path: KeyPath;
  /** What is wrong and what would be right. */
  readonly message: string;
}

export class ConfigError extends DmiofsError {
  readonly file: string;
  readonly issues: readonly ConfigIssue[];

  constructor(file: string, issues: readonly ConfigIssue[]) {
    const sorted = [...issues].sort(
      (a, b) => a.position.line - b.position.line || a.position.column - b.position.column,
    );
    const lines = new Set(sorted.map((issue) => formatIssue(file, issue)));
    super('ERR_DMIOFS_CONFIG', [...lines].join('\n'));
    this.name = 'ConfigError';
    this.file = file;
    this.issues = sorted;
  }
}

/** `FILE:LINE:COLUMN: key.path: message`. */
function formatIssue(file: string, issue: ConfigIssue): string {
  const place = `${file}:${String(issue.position.line)}:${String(issue.position.column)}`;
  const path = formatPath(issue.path);
  return path === '' ? `${place}: ${issue.message}` : `${place}: ${path}: ${issue.message}`;
}
