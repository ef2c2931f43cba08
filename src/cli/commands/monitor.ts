import { accessSync, constants, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DmiofsError, messageOf } from '../../errors.js';
import type { ReportedEvent } from '../../mirror/event-schema.js';
import { native } from '../../native/binding.js';
import { parseDuration } from '../../util/duration.js';
import { dmiofsMountOn } from '../../util/mountinfo.js';
import { sleep } from '../../util/timeout.js';
import { defineCommand } from '../command.js';
import { Monitor } from '../monitor/monitor.js';
import { ProgramRunner } from '../monitor/program.js';

const POLL_MS = 1000;
/** What a program still has when the monitor is asked to end. */
const DRAIN_MS = 10_000;

interface MonitorArgs {
  readonly path: string | undefined;
  readonly exec: string | undefined;
  readonly execTimeout: string;
  readonly json: boolean;
  readonly oneshot: boolean;
}

/** The path as the table of mounts has it; a mount that hangs is not touched: only its parent is looked up. */
function placeOf(path: string): string {
  const absolute = resolve(path);
  if (dmiofsMountOn(absolute) !== undefined) return absolute;
  const parent = dirname(absolute);
  if (dmiofsMountOn(parent) !== undefined) return absolute;
  try {
    return join(realpathSync(parent), basename(absolute));
  } catch {
    return absolute;
  }
}

function programOf({ exec, execTimeout }: MonitorArgs): ProgramRunner | undefined {
  if (exec === undefined) return undefined;
  const timeout = parseDuration(execTimeout);
  if (timeout === undefined || timeout === 0) {
    throw new DmiofsError('ERR_DMIOFS_USAGE', `--exec-timeout: ${execTimeout} is not a time, such as 60s`);
  }
  try {
    if (exec.includes('/')) accessSync(exec, constants.X_OK);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = missing ? 'there is no such program' : messageOf(error);
    throw new DmiofsError('ERR_DMIOFS_USAGE', `--exec ${exec}: ${why}`, { cause: error });
  }
  return new ProgramRunner({
    program: exec,
    timeout,
    problem: (message) => process.stderr.write(`dmiofs: ${message}\n`),
  });
}

/** Resolves at SIGTERM, SIGINT, or when nobody reads what is told any more. */
function asked(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => done());
    process.stdout.on('error', () => done());
  });
}

export const monitorCommand = defineCommand<MonitorArgs>({
  command: 'monitor [path]',
  describe: 'print one line for each event of the mounted sets, as they happen',
  builder: (yargs) =>
    yargs
      .positional('path', {
        type: 'string',
        describe: 'a mountpoint, or a file under one, mounted now or later; default: all mounts',
      })
      .option('exec', {
        type: 'string',
        describe:
          'run this program for each event: PROGRAM event file leg device (empty where there is none); $DMIOFS_EVENT, _TIME, _MOUNTPOINT, _FILE, _SET, _LEG, _DEVICE, _ERRNO, _TEXT and _JSON say more',
      })
      .option('exec-timeout', {
        type: 'string',
        default: '60s',
        describe: 'a program that takes longer is killed',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON, a line an event (config/event.schema.json)',
      })
      .option('oneshot', {
        type: 'boolean',
        default: false,
        describe: 'tell what is wrong now, and end',
      }),
  handler: async (args) => {
    const path = args.path === undefined ? undefined : placeOf(args.path);
    const program = programOf(args);
    const monitor = new Monitor(native(), {
      path,
      tell: (event: ReportedEvent) => {
        process.stdout.write(`${args.json ? JSON.stringify(event) : event.text}\n`);
        program?.add(event);
      },
      problem: (message) => process.stderr.write(`dmiofs: ${message}\n`),
    });
    const stop = asked();
    const ending = stop.then(() => true);
    const found = await monitor.poll();
    if (path !== undefined && !found) {
      const message = `nothing of dmiofs is mounted on ${path}`;
      if (args.oneshot) throw new DmiofsError('ERR_DMIOFS_NOT_MOUNTED', message);
      process.stderr.write(`dmiofs: ${message} yet: waiting for it\n`);
    }
    while (!args.oneshot && !(await Promise.race([ending, sleep(POLL_MS).then(() => false)]))) {
      await Promise.race([ending, monitor.poll()]);
    }
    await program?.drain(args.oneshot ? 2 ** 31 - 1 : DRAIN_MS);
  },
});
