/** Reads a config file's text: YAML as plain values, with the place of each, and every problem of its syntax. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { type Document, isAlias, LineCounter, parseDocument, visit, type YAMLError } from 'yaml';
import { messageOf } from '../errors.js';
import { ConfigError, type ConfigIssue } from './config-error.js';
import { pathAt } from './positions.js';

const MAX_BYTES = 1024 * 1024;
const MAX_ALIASES = 100;
const START = { position: { line: 1, column: 1 }, path: [] } as const;

export interface ParsedYaml {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly value: unknown;
  /** What is wrong, but leaves the rest readable: so that the rest is checked too. */
  readonly issues: readonly ConfigIssue[];
}

/** Throws a ConfigError when it is no readable text of at most 1 MiB. */
export function readText(file: string): string {
  const refuse = (message: string): ConfigError => new ConfigError(file, [{ ...START, message }]);
  let fd: number;
  try {
    // A FIFO without a writer is refused below, not waited for.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw refuse(`cannot be read: ${missing ? 'there is no such file' : messageOf(error)}`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refuse('is not a file');
    if (stat.size > MAX_BYTES) throw refuse('is larger than 1 MiB: not a config file');
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(fd));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw refuse(error instanceof TypeError ? 'is not UTF-8 text' : `cannot be read: ${messageOf(error)}`);
  } finally {
    closeSync(fd);
  }
}

function messageFor(error: YAMLError): string {
  if (error.code === 'DUPLICATE_KEY')
    return 'is there twice: a key, and so the name of a set, must be unique';
  if (error.code === 'TAB_AS_INDENT') return 'is indented with a tab: YAML takes blanks only';
  if (error.code === 'NON_STRING_KEY') return 'a key must be plain text';
  return (error.message.split('\n')[0] ?? error.message).replace(/ at line \d+, column \d+:?$/, '');
}

function unresolvedAliases(document: Document): readonly { offset: number; message: string }[] {
  const found: { offset: number; message: string }[] = [];
  visit(document, {
    Alias: (_, alias) => {
      if (isAlias(alias) && alias.resolve(document) === undefined)
        found.push({ offset: alias.range?.[0] ?? 0, message: `no anchor &${alias.source} stands before it` });
    },
  });
  return found;
}

export function parseYaml(file: string, text: string): ParsedYaml {
  const lines = new LineCounter();
  // With stringKeys a set named 0600 is 0600, not 600; and 1 and "1" are the same name twice.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    stringKeys: true,
    version: '1.2',
    logLevel: 'error',
  });
  const issueAt = (offset: number, message: string): ConfigIssue => {
    const { line, col } = lines.linePos(offset);
    return {
      position: { line: Math.max(line, 1), column: Math.max(col, 1) },
      path: pathAt(document, offset),
      message,
    };
  };
  // A tab makes the rest of the file mean something else: what is wrong with that is no news.
  const tabs = document.errors.filter(({ code }) => code === 'TAB_AS_INDENT');
  const problems = tabs.length > 0 ? tabs : [...document.errors, ...document.warnings];
  const issues = problems.map((error) => issueAt(error.pos[0], messageFor(error)));
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) throw new ConfigError(file, issues);
  try {
    const unresolved = unresolvedAliases(document);
    if (unresolved.length > 0)
      throw new ConfigError(file, [
        ...issues,
        ...unresolved.map(({ offset, message }) => issueAt(offset, message)),
      ]);
    return { document, lines, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown, issues };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(file, [...issues, { ...START, message: messageOf(error) }]);
  }
}
