/** The type of a command: yargs' CommandModule, with the arguments that its handler is given. */
import type { Argv, CommandModule } from 'yargs';

export type Command = CommandModule;

interface CommandDefinition<Args> {
  readonly command: string;
  readonly describe: string;
  /** Declares the arguments; yargs adds the camelCase forms that `Args` names. */
  readonly builder: (yargs: Argv) => Argv;
  readonly handler: (args: Args) => void | Promise<void>;
}

export function defineCommand<Args>(definition: CommandDefinition<Args>): Command {
  return definition as unknown as Command;
}
