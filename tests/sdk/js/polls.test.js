// Shared-poll subscriptions of the official JavaScript client, its JSON and its Protobuf build, against the server named
// by SDK_WS. The backend that the server polls runs here, on port SDK_BACKEND.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { builds, clientsOf, connected as connect, next, within } from './support.js';

/** What the backend knows: by channel and key, `{data, version}` or `{removed: true}`; by channel, its epoch. */
const state = new Map();
const epochs = new Map();

const backend = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { channel, items } = JSON.parse(body);
  const known = items.map(({ key }) => ({ key, ...state.get(`${channel} ${key}`) }));
  const result = { items: known.filter((item) => item.removed || item.version > 0), epoch: epochs.get(channel) ?? '' };
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ result }));
});

before(() => new Promise((resolve) => backend.listen(Number(process.env.SDK_BACKEND), '127.0.0.1', resolve)));
after(() => backend.close());

/** What an application's backend signs for its users. */
function sign(channel, keys) {
  const issued = Math.floor(Date.now() / 1000);
  const expires = issued + 300;
  const hash = createHash('sha256').update(keys.join('\0')).digest('hex');
  const mac = createHmac('sha256', 'sdk-poll-secret');
  const signature = mac.update([issued, expires, 'sdk-user', channel, hash].join('\0')).digest('hex');
  return `${issued}:${expires}:${signature}`;
}

for (const { name, Client, decode } of builds) {
  describe(`shared poll, ${name}`, () => {
    const client = clientsOf(Client);

    async function subscribed(keys, options = {}) {
      const channel = `poll:${randomUUID()}`;
      const sub = (await connect(client())).newSharedPollSubscription(channel, {
        getSignature: async (context) => ({ signature: sign(channel, context.keys), keys: context.keys }),
        ...options,
      });
      const set = (key, data, version) => state.set(`${channel} ${key}`, { data, version });
      const came = [];
      const waiting = [];
      sub.on('update', (update) => {
        came.push(update.removed ? { key: update.key, removed: true } : { key: update.key, data: decode(update.data) });
        if (waiting.length > 0) waiting.shift()(came.shift());
      });
      const update = () =>
        within('update', (resolve) => (came.length > 0 ? resolve(came.shift()) : waiting.push(resolve)));
      const isSubscribed = next(sub, 'subscribed');
      sub.subscribe();
      await isSubscribed;
      const begin = () => sub.track(keys, sign(channel, keys));
      return { channel, sub, set, update, begin };
    }

    test('keys come at once, their changes with the next round, and their end', async () => {
      const { channel, set, update, begin } = await subscribed(['one', 'two']);
      set('one', { n: 1 }, 1);
      set('two', { n: 2 }, 1);
      begin();
      const both = [await update(), await update()].sort((a, b) => a.key.localeCompare(b.key));
      assert.deepEqual(both, [
        { key: 'one', data: { n: 1 } },
        { key: 'two', data: { n: 2 } },
      ]);
      set('two', { n: 3 }, 2);
      assert.deepEqual(await update(), { key: 'two', data: { n: 3 } });
      state.set(`${channel} one`, { removed: true });
      assert.deepEqual(await update(), { key: 'one', removed: true });
    });

    test('patches are applied', async () => {
      const { channel, set, update, begin } = await subscribed(['one'], { delta: 'fossil' });
      const text = 'something that stays the same, however often it is told '.repeat(3);
      set('one', { text, n: 1 }, 1);
      begin();
      assert.deepEqual(await update(), { key: 'one', data: { text, n: 1 } });
      state.set(`${channel} one`, { data: { text, n: 2 }, prev_data: { text, n: 1 }, version: 2 });
      assert.deepEqual(await update(), { key: 'one', data: { text, n: 2 } });
    });

    test('after another epoch of the backend everything is told again', async () => {
      const { channel, set, update, begin } = await subscribed(['one'], { minResubscribeDelay: 1, maxResubscribeDelay: 10 });
      set('one', 'before', 7);
      epochs.set(channel, 'one');
      begin();
      assert.deepEqual(await update(), { key: 'one', data: 'before' });
      epochs.set(channel, 'two');
      set('one', 'behind', 1);
      assert.deepEqual(await update(), { key: 'one', data: 'behind' });
    });
  });
}
