// Writes the files that are made from the code: `scripts/generate`. Tests tell when one of them is out of date.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jsonSchemas } from '../dist/config/json-schema.js';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');

for (const [name, text] of Object.entries(jsonSchemas())) {
  writeFileSync(join(top, 'config', name), text);
  console.log(`generate: config/${name}`);
}

mkdirSync(join(top, 'config/completion'), { recursive: true });
for (const [name, shell] of [
  ['dmiofs.bash', '/bin/bash'],
  ['_dmiofs', '/bin/zsh'],
]) {
  const env = { ...process.env, SHELL: shell, ZSH_NAME: '' };
  const text = execFileSync(process.execPath, [join(top, 'dist/cli/run.js'), 'completion'], {
    env,
    encoding: 'utf8',
  });
  // Without the empty line that it ends with.
  writeFileSync(join(top, 'config/completion', name), `${text.trimEnd()}\n`);
  console.log(`generate: config/completion/${name}`);
}
