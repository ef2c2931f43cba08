/** The program: what bin/dmiofs starts. */
import { main } from './main.js';

process.exitCode = await main(process.argv.slice(2));
// What was printed reaches a reader that is slower than us; one that has gone away ends the wait.
await Promise.all(
  [process.stdout, process.stderr].map(
    (stream) =>
      new Promise<void>((resolve) => {
        stream.on('error', () => {
          resolve();
        });
        stream.write('', () => {
          resolve();
        });
      }),
  ),
);
// A request to a dead mount may still hang on a worker thread; nothing is waited for after the command has ended.
process.exit();
