/** `metrics --listen`: GET /metrics over HTTP. On the loopback interface unless another address is named. */
import { createServer, type Server } from 'node:http';
import { DmiofsError, messageOf } from '../../errors.js';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `PORT`, `HOST:PORT` or `[IPV6]:PORT`; port 0: any free one. */
export function parseListen(text: string): ListenAddress {
  const found = /^(?:(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]+)):)?([0-9]{1,5})$/.exec(text);
  const port = Number(found?.[3]);
  if (found === null || port > 65_535) {
    throw new DmiofsError('ERR_DMIOFS_USAGE', `--listen: ${JSON.stringify(text)} is not [HOST:]PORT`);
  }
  return { host: found[1] ?? found[2] ?? '127.0.0.1', port };
}

/** Resolves when it listens. Requests that come together are answered by one look. */
export function serveMetrics(
  { host, port }: ListenAddress,
  contentType: string,
  make: () => Promise<string>,
): Promise<Server> {
  let making: Promise<string> | undefined;
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    const readable = request.method === 'GET' || request.method === 'HEAD';
    if (!readable || (path !== '/metrics' && path !== '/')) {
      response.writeHead(readable ? 404 : 405, { 'content-type': 'text/plain', allow: 'GET, HEAD' });
      response.end(readable ? 'see /metrics\n' : '');
      return;
    }
    making ??= make().finally(() => {
      making = undefined;
    });
    making.then(
      (text) => {
        response.writeHead(200, { 'content-type': contentType });
        response.end(request.method === 'HEAD' ? undefined : text);
      },
      (error: unknown) => {
        response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(`${messageOf(error)}\n`);
      },
    );
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  server.maxConnections = 64;
  return new Promise((resolve, reject) => {
    server.on('error', (error) => {
      reject(
        new DmiofsError('ERR_DMIOFS_USAGE', `--listen ${host}:${String(port)}: ${error.message}`, {
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => {
      resolve(server);
    });
  });
}
