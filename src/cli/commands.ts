/**
 * The commands and the modules they are in. Only the named one is loaded: most of a short command's time is that of loading modules, and
 * `status` has to answer at once.
 */
import type { Command } from './command.js';

type Loader = () => Promise<readonly Command[]>;

const legs: Loader = async () => (await import('./commands/legs.js')).legCommands;
const control: Loader = async () => (await import('./commands/control.js')).controlCommands;

/** By the command's first word, in the order in which --help lists them. */
const LOADERS: Readonly<Record<string, Loader>> = {
  init: async () => [(await import('./commands/init.js')).initCommand],
  mount: async () => [(await import('./commands/mount.js')).mountCommand],
  umount: async () => [(await import('./commands/umount.js')).umountCommand],
  status: async () => [(await import('./commands/status.js')).statusCommand],
  monitor: async () => [(await import('./commands/monitor.js')).monitorCommand],
  metrics: async () => [(await import('./commands/metrics.js')).metricsCommand],
  'check-config': async () => [(await import('./commands/check-config.js')).checkConfigCommand],
  fail: control,
  're-add': control,
  clear: control,
  pause: control,
  resume: control,
  speed: control,
  add: legs,
  remove: legs,
  replace: legs,
  scrub: async () => [(await import('./commands/scrub.js')).scrubCommand],
  wait: async () => [(await import('./commands/wait.js')).waitCommand],
  table: async () => [(await import('./commands/table.js')).tableCommand],
  'from-table': async () => [(await import('./commands/from-table.js')).fromTableCommand],
};

/** Every command: for help, completion and the search for a misspelt name. */
export async function allCommands(): Promise<readonly Command[]> {
  const loaded = await Promise.all([...new Set(Object.values(LOADERS))].map((load) => load()));
  return loaded.flat();
}

/** The commands that a command line can mean: the named one, or all when none is. */
export async function loadCommands(args: readonly string[]): Promise<readonly Command[]> {
  const name = args.find((arg) => !arg.startsWith('-'));
  const load = name !== undefined && Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined;
  // `dmiofs --help status` and the like are for the whole.
  return load === undefined || args[0] !== name ? allCommands() : load();
}
