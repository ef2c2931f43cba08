/** The program: what bin/dmiofs starts. */
import { main } from './main.js';

process.exitCode = await main(process.argv.slice(2));
// A request to a dead mount may still hang on a worker thread; nothing is waited for after the command has ended.
process.exit();
