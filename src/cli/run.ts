/** The program: what bin/dmiofs starts. */
import { EXIT } from './exit.js';
import { main } from './main.js';

let lost: Error | undefined;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has enough is none.
  if (error.code !== 'EPIPE') lost = error;
});
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
if (lost !== undefined) {
  process.stderr.write(`dmiofs: what was printed could not be written: ${lost.message}\n`);
  process.exitCode = EXIT.system;
}
// A request to a dead mount may still hang on a worker thread; nothing is waited for after the command has ended.
process.exit();
