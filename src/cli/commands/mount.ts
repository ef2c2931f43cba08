import { closeSync, readFileSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDmiofsError, messageOf, DmiofsError } from '../../errors.js';
import type { FaultRule } from '../../native/io.js';
import { defineCommand } from '../command.js';
import { Daemon } from '../daemon.js';
import { EXIT, ExitError } from '../exit.js';
import { OWN_OPTIONS, parseMountOptions } from '../mount-options.js';
import { type ReadyMessage, startDaemon } from '../start-daemon.js';

interface MountArgs {
  config: string;
  mountpoint: string;
  option: string[] | undefined;
  set: string[] | undefined;
  foreground: boolean;
  faultRules: string | undefined;
  readyFd: string | undefined;
}

async function readFaultRules(text: string | undefined): Promise<readonly FaultRule[] | undefined> {
  if (text === undefined) return undefined;
  const { checkFaultRules } = await import('../fault-rules.js');
  try {
    return checkFaultRules(JSON.parse(text.startsWith('[') ? text : readFileSync(text, 'utf8')));
  } catch (error) {
    if (isDmiofsError(error)) throw error;
    throw new DmiofsError(
      'ERR_DMIOFS_USAGE',
      `--fault-rules: ${messageOf(error)}: a JSON list of rules, or a file with one, is wanted`,
    );
  }
}

function tellReady(fd: string, message: ReadyMessage): void {
  writeSync(Number(fd), `${JSON.stringify(message)}\n`);
  closeSync(Number(fd));
}

async function serve(args: MountArgs): Promise<void> {
  let daemon: Daemon;
  try {
    const { sets, remount, ...options } = parseMountOptions(args.option ?? []);
    if (remount)
      throw new DmiofsError('ERR_DMIOFS_USAGE', '-o remount: mount(8) changes the flags of a mount');
    const chosen = [...sets, ...(args.set ?? [])];
    daemon = await Daemon.start({
      ...options,
      config: args.config,
      mountpoint: args.mountpoint,
      sets: chosen.length > 0 ? chosen : undefined,
      foreground: args.readyFd === undefined,
      faultRules: await readFaultRules(args.faultRules),
    });
  } catch (error) {
    if (args.readyFd !== undefined) {
      const exitCode =
        isDmiofsError(error) && error.code === 'ERR_DMIOFS_USAGE' ? EXIT.usage : EXIT.mountFailure;
      tellReady(args.readyFd, { ok: false, pid: process.pid, message: messageOf(error), exitCode });
    }
    throw error;
  }
  if (args.readyFd !== undefined)
    tellReady(args.readyFd, { ok: true, pid: process.pid, message: '', exitCode: 0 });
  await daemon.run();
}

export const mountCommand = defineCommand<MountArgs>({
  command: 'mount <config> <mountpoint>',
  describe: 'show the sets of a config as files under a mountpoint',
  builder: (yargs) =>
    yargs
      .positional('config', { type: 'string', demandOption: true, describe: 'config file (YAML)' })
      .positional('mountpoint', { type: 'string', demandOption: true, describe: 'an existing folder' })
      .option('option', {
        alias: 'o',
        type: 'string',
        array: true,
        nargs: 1,
        describe: `${OWN_OPTIONS.map(({ option }) => option).join(', ')}; generic options of mount(8)`,
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: 'only this set; may be given more than once',
      })
      .option('foreground', { type: 'boolean', default: false, describe: 'stay in front, log to stderr' })
      .option('fault-rules', {
        type: 'string',
        describe: 'rehearse failures: a JSON list of fault rules, or a file with one',
      })
      .option('ready-fd', { type: 'string', hidden: true }),
  handler: async (args) => {
    if (args.foreground || args.readyFd !== undefined) {
      await serve(args);
      return;
    }
    const { ok, message, exitCode } = await startDaemon([
      'mount',
      resolve(args.config),
      resolve(args.mountpoint),
      ...(args.option ?? []).flatMap((option) => ['-o', option]),
      ...(args.set ?? []).flatMap((set) => ['--set', set]),
      ...(args.faultRules === undefined
        ? []
        : ['--fault-rules', args.faultRules.startsWith('[') ? args.faultRules : resolve(args.faultRules)]),
    ]);
    if (ok) return;
    for (const line of message.split('\n')) process.stderr.write(`dmiofs: ${line}\n`);
    throw new ExitError(exitCode);
  },
});
