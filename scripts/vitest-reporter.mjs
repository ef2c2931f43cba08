// Writes what scripts/test.mjs sums up, as JSON to $DMIOFS_VITEST_RESULT: counts, failures, skips with their reasons, durations.
import { writeFileSync } from 'node:fs';

export default class SumReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const result = { passed: 0, failed: 0, failures: [], skips: [], durations: [] };
    const fail = (name, errors) => {
      result.failed += 1;
      result.failures.push({ name, message: errors?.[0]?.message ?? '' });
    };
    for (const module of modules) {
      // A file that does not load, or whose hooks fail, has no failed test to show for it.
      if (module.state() === 'failed' && module.errors().length > 0)
        fail(module.relativeModuleId, module.errors());
      for (const suite of module.children.allSuites()) {
        if (suite.errors().length > 0) fail(`${module.relativeModuleId} > ${suite.fullName}`, suite.errors());
      }
      for (const test of module.children.allTests()) {
        const name = `${module.relativeModuleId} > ${test.fullName}`;
        const outcome = test.result();
        if (outcome.state === 'passed') result.passed += 1;
        else if (outcome.state === 'failed') fail(name, outcome.errors);
        else if (outcome.state === 'skipped') result.skips.push({ name, reason: outcome.note ?? '' });
        else fail(name, [{ message: 'did not run to its end' }]);
        result.durations.push({ name, ms: test.diagnostic()?.duration ?? 0 });
      }
    }
    for (const error of unhandledErrors) fail('an error outside any test', [error]);
    writeFileSync(process.env['DMIOFS_VITEST_RESULT'], JSON.stringify(result));
  }
}
