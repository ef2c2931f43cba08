// Results: what one run has measured, and the committed ones that the page and the guard are made of.
//
//     { format, date, machine, versions, settings, places: { disk: 'ext4' }, cells: [Entry], experiments: { NAME: data } }
//
// An Entry is one target at one cell and place: { place, cell, target, iops: [a sample a round, null: failed], p50, p99, cpu, serverCpu, error? }.
// Samples of one place and cell were taken in the same rounds, so that their ratios can be.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const FORMAT = 1;
export const PUBLISHED = fileURLToPath(new URL('../../docs/benchmark/results.json', import.meta.url));

export function readResults(path) {
  let results;
  try {
    results = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`);
  }
  if (results?.format !== FORMAT || !Array.isArray(results.cells)) {
    throw new Error(`${path}: not results of scripts/bench of format ${FORMAT}`);
  }
  return results;
}

/** An entry a line: a change of one cell is a change of one line. */
export function formatResults({ cells, experiments, ...rest }) {
  const head = JSON.stringify(rest, null, 2).slice(0, -2);
  const lines = (things) => things.map((thing) => `    ${thing}`).join(',\n');
  const list = lines(cells.map((cell) => JSON.stringify(cell)));
  const extra = lines(
    Object.entries(experiments).map(([name, data]) => `${JSON.stringify(name)}: ${JSON.stringify(data)}`),
  );
  const part = (open, content, close) => (content === '' ? open + close : `${open}\n${content}\n  ${close}`);
  return `${head},\n  "cells": ${part('[', list, ']')},\n  "experiments": ${part('{', extra, '}')}\n}\n`;
}

export function writeResults(path, results) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, formatResults(results));
  renameSync(`${path}.new`, path);
}

const sameMachine = (a, b) => JSON.stringify(a.machine) === JSON.stringify(b.machine);

/**
 * The new results with what they do not have of the old ones: of a cell, all targets are from one run. Results of another machine are not mixed in,
 * nor those of a run with another size of legs.
 */
export function mergeResults(old, now) {
  if (old === undefined || !sameMachine(old, now) || old.settings.bytes !== now.settings.bytes) return now;
  const key = ({ place, cell }) => `${place} ${cell}`;
  const measured = new Set(now.cells.map(key));
  const kept = old.cells.filter((entry) => !measured.has(key(entry)));
  return {
    ...now,
    // The page says so: date, versions and settings are the newest run's.
    ...(kept.length > 0 ? { earlier: old.earlier ?? old.date } : {}),
    places: { ...old.places, ...now.places },
    cells: [...kept, ...now.cells],
    experiments: { ...old.experiments, ...now.experiments },
  };
}
