/** JSON Schemas, made of the schemas that the program itself checks with: scripts/generate writes them into config/. */
import { z } from 'zod';
import { eventSchema } from '../mirror/event-schema.js';
import { scrubSchema } from '../mirror/scrub-schema.js';
import { mountStatusSchema } from '../mirror/status-schema.js';
import { checkConfigSchema } from './check-config-schema.js';
import { configSchema } from './schema.js';

function text(title: string, schema: object): string {
  return `${JSON.stringify({ $comment: 'made by scripts/generate', title, ...schema }, null, 2)}\n`;
}

/** What config/ holds, by file name: of config files, for editors; of `status --json`, for those who read it. */
export function jsonSchemas(): Readonly<Record<string, string>> {
  return {
    'dmiofs.schema.json': text(
      'dmiofs config file',
      z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }),
    ),
    'check-config.schema.json': text(
      'dmiofs check-config --json',
      z.toJSONSchema(checkConfigSchema, { target: 'draft-7' }),
    ),
    'event.schema.json': text(
      'a line of dmiofs monitor --json',
      z.toJSONSchema(eventSchema, { target: 'draft-7' }),
    ),
    'status.schema.json': text(
      'a mount in dmiofs status --json',
      z.toJSONSchema(mountStatusSchema, { target: 'draft-7' }),
    ),
    'scrub.schema.json': text('dmiofs scrub --json', z.toJSONSchema(scrubSchema, { target: 'draft-7' })),
  };
}
