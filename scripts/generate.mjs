// Writes the files that are made from the code: `scripts/generate`. Tests tell when one of them is out of date.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jsonSchemas } from '../dist/config/json-schema.js';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');

for (const [name, text] of Object.entries(jsonSchemas())) {
  writeFileSync(join(top, 'config', name), text);
  console.log(`generate: config/${name}`);
}
