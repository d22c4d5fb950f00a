// What the suites of the official JavaScript client share: its JSON and its Protobuf build, clients of them, waiting.
import { after } from 'node:test';
import { Centrifuge as JsonClient } from 'centrifuge';
import { Centrifuge as ProtobufClient } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

export const builds = [
  { name: 'JSON', Client: JsonClient, encode: (value) => value, decode: (data) => data },
  {
    name: 'Protobuf',
    Client: ProtobufClient,
    encode: (value) => new TextEncoder().encode(JSON.stringify(value)),
    decode: (data) => JSON.parse(new TextDecoder().decode(data)),
  },
];

/** A promise that fails rather than hangs. */
export function within(what, start) {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`no ${what} within 10 s`)), 10_000);
    start((value) => {
      clearTimeout(deadline);
      resolve(value);
    });
  });
}

/** What `emitter` says next under `event`. */
export const next = (emitter, event) => within(`'${event}'`, (resolve) => emitter.once(event, resolve));

/** For a suite: makes clients of the server named by SDK_WS, which disconnect when the suite is over. */
export function clientsOf(Client) {
  const clients = [];
  after(() => clients.forEach((client) => client.disconnect()));
  return (options = {}) => {
    const client = new Client(process.env.SDK_WS, {
      websocket: WebSocket,
      token: process.env.SDK_TOKEN,
      ...options,
    });
    clients.push(client);
    return client;
  };
}

/** The client when it is connected. */
export async function connected(client) {
  client.connect();
  await client.ready(10_000);
  return client;
}
