/** A folder with a config file, and what the config's checks say of it. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../../src/config/config-error.js';

export class ConfigFolder {
  readonly directory = realpathSync(
    mkdtempSync(join(process.env['DMIOFS_TEST_TMP'] ?? tmpdir(), 'dmiofs-config-')),
  );

  path(name: string): string {
    return join(this.directory, name);
  }

  /** The path of a config file with this text. */
  write(text: string | Uint8Array, name = 'c.yaml'): string {
    writeFileSync(this.path(name), text);
    return this.path(name);
  }

  /** A file of `bytes` zeros. */
  image(name: string, bytes: number): string {
    writeFileSync(this.path(name), Buffer.alloc(bytes));
    return this.path(name);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The lines of the ConfigError that `run` throws, without the folder; none when it succeeds. Any other error is passed on. */
  refusals(run: () => unknown): readonly string[] {
    try {
      run();
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.message.replaceAll(`${this.directory}/`, '').split('\n');
    }
  }
}
