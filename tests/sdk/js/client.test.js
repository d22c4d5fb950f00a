// The official JavaScript client, its JSON and its Protobuf build, against the server named by SDK_WS.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { builds, clientsOf, connected as connect, next } from './support.js';

/** The first `count` publications of a subscription, as they come. */
function collect(sub, count, decode) {
  const seen = [];
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`${seen.length} of ${count} publications within 10 s`)), 10_000);
    sub.on('publication', (context) => {
      seen.push({ offset: context.offset, data: decode(context.data) });
      if (seen.length === count) {
        clearTimeout(deadline);
        resolve(seen);
      }
    });
  });
}

for (const { name, Client, encode, decode } of builds) {
  describe(`centrifuge-js, ${name}`, () => {
    const newClient = clientsOf(Client);
    const connected = () => connect(newClient());

    async function subscribed(client, channel) {
      const sub = client.newSubscription(channel);
      sub.subscribe();
      await sub.ready(10_000);
      return sub;
    }

    test('publications reach every subscriber, the publisher too, in order', async () => {
      const channel = `sdk:js-${randomUUID()}`;
      const [a, b] = [await connected(), await connected()];
      const [subA, subB] = [await subscribed(a, channel), await subscribed(b, channel)];
      const [seenA, seenB] = [collect(subA, 20, decode), collect(subB, 20, decode)];
      for (let n = 0; n < 20; n++) await subA.publish(encode({ n }));
      const expected = Array.from({ length: 20 }, (_, n) => ({ offset: n + 1, data: { n } }));
      assert.deepEqual(await seenA, expected);
      assert.deepEqual(await seenB, expected);
    });

    test('what was missed while disconnected is recovered, once and in order', async () => {
      const channel = `sdk:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      const sub = await subscribed(reader, channel);
      const all = collect(sub, 8, decode);
      const first = next(sub, 'publication');
      await writer.publish(channel, encode({ n: 1 }));
      await first;
      reader.disconnect();
      for (let n = 2; n <= 7; n++) await writer.publish(channel, encode({ n }));
      const again = next(sub, 'subscribed');
      reader.connect();
      const context = await again;
      assert.equal(context.wasRecovering, true);
      assert.equal(context.recovered, true);
      await writer.publish(channel, encode({ n: 8 }));
      assert.deepEqual((await all).map((p) => p.data.n), [1, 2, 3, 4, 5, 6, 7, 8]);
      assert.deepEqual((await all).map((p) => p.offset), [1, 2, 3, 4, 5, 6, 7, 8]);
    });

    test('history and presence', async () => {
      const channel = `sdk:js-${randomUUID()}`;
      const [a, b] = [await connected(), await connected()];
      const subA = await subscribed(a, channel);
      const joined = next(subA, 'join');
      const subB = await subscribed(b, channel);
      assert.equal((await joined).info.user, 'sdk-user');
      for (let n = 1; n <= 5; n++) await subA.publish(encode({ n }));
      const page = await subA.history({ limit: 2, since: { offset: 1, epoch: '' } });
      assert.deepEqual(page.publications.map((p) => decode(p.data).n), [2, 3]);
      assert.equal(page.offset, 5);
      const newest = await subB.history({ limit: 1, reverse: true });
      assert.equal(decode(newest.publications[0].data).n, 5);
      const presence = await subA.presence();
      assert.equal(Object.keys(presence.clients).length, 2);
      assert.deepEqual(await subA.presenceStats(), { numClients: 2, numUsers: 1 });
      const left = next(subA, 'leave');
      subB.unsubscribe();
      assert.equal((await left).info.user, 'sdk-user');
      assert.deepEqual(await subA.presenceStats(), { numClients: 1, numUsers: 1 });
    });

    test('errors of the server keep their codes', async () => {
      const client = await connected();
      await assert.rejects(client.publish('nowhere:x', encode({})), (error) => error.code === 102);
      await assert.rejects(client.history('sdk:x', { limit: 1, since: { offset: 1, epoch: 'other' } }), (e) => e.code === 112);
    });

    test('a bad token ends the connection for good', async () => {
      const client = newClient({ token: 'no.good.token' });
      const ended = next(client, 'disconnected');
      client.connect();
      assert.equal((await ended).code, 3500);
    });
  });
}
