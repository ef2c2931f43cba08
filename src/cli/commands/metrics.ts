import { readFileSync } from 'node:fs';
import { DmiofsError, messageOf } from '../../errors.js';
import { native } from '../../native/binding.js';
import { dmiofsMounts } from '../../util/mountinfo.js';
import { writeAtomically } from '../../util/write-atomically.js';
import { defineCommand } from '../command.js';
import { collect } from '../metrics/collect.js';
import { METRICS_CONTENT_TYPE } from '../metrics/metrics.js';
import { metricsText } from '../metrics/metrics-text.js';
import { parseListen, serveMetrics } from '../metrics/server.js';
import { findMounted, type MountedPlace } from '../mounted.js';
import { oneQuestionAtATime } from '../one-question.js';

interface MetricsArgs {
  readonly path: string | undefined;
  readonly output: string | undefined;
  readonly listen: string | undefined;
}

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function placesOf(path: string | undefined): readonly MountedPlace[] {
  if (path !== undefined) return [findMounted(path)];
  const mountpoints = new Set(dmiofsMounts().map(({ mountpoint }) => mountpoint));
  return [...mountpoints].map((mountpoint) => ({ mountpoint, set: undefined }));
}

function writeOutput(file: string, text: string): void {
  try {
    writeAtomically(file, text);
  } catch (error) {
    throw new DmiofsError('ERR_DMIOFS_USAGE', `--output: ${messageOf(error)}`, { cause: error });
  }
}

export const metricsCommand = defineCommand<MetricsArgs>({
  command: 'metrics [path]',
  describe: 'print metrics of the mounted sets in Prometheus text format',
  builder: (yargs) =>
    yargs
      .positional('path', {
        type: 'string',
        describe: 'a mountpoint, or a file under one; default: all mounts',
      })
      .option('output', {
        type: 'string',
        describe: "write them to this file, whole or not at all: for node_exporter's textfile collector",
      })
      .option('listen', {
        type: 'string',
        describe:
          'serve them at http://HOST:PORT/metrics until ended: [HOST:]PORT, on the loopback interface unless HOST is given',
      })
      .conflicts('output', 'listen'),
  handler: async ({ path, output, listen }) => {
    const reader = oneQuestionAtATime(native());
    const program = version();
    const make = async (places: readonly MountedPlace[]): Promise<string> => {
      const measured = await collect(reader, places);
      for (const one of measured) {
        if (!one.up) process.stderr.write(`dmiofs: ${one.mountpoint}: ${one.problem}\n`);
      }
      return metricsText(measured, program, Date.now() / 1000);
    };
    if (listen === undefined) {
      const text = await make(placesOf(path));
      if (output === undefined) process.stdout.write(text);
      else writeOutput(output, text);
      return;
    }
    const ended = new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.on(signal, () => {
          resolve();
        });
    });
    // Which mounts there are is looked up for each request: they come and go.
    const server = await serveMetrics(parseListen(listen), METRICS_CONTENT_TYPE, async () =>
      make(placesOf(path)),
    );
    const address = server.address();
    if (typeof address === 'object' && address !== null) {
      const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
      process.stderr.write(`dmiofs: listening on http://${host}:${String(address.port)}/metrics\n`);
    }
    await ended;
    server.close();
    server.closeAllConnections();
  },
});
