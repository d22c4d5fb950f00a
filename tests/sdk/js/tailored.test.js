// Delta, tags filters and recovery with the official JavaScript client, against the server named by SDK_WS.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { builds, clientsOf, next } from './support.js';

/** Most of a payload stays the same; the letters of several bytes differ in their first or last one only. */
const payload = (n) => ({ text: `něco, co zůstává pořád <stejné> ${'žšůú'[n % 4]}${'日本曰'[n % 3]}`.repeat(4), n });

async function publish(channel, data, more = {}) {
  const response = await fetch(`${process.env.SDK_API}/publish`, {
    method: 'POST',
    headers: { 'X-API-Key': process.env.SDK_API_KEY },
    body: JSON.stringify({ channel, data, ...more }),
  });
  const { error, result } = await response.json();
  assert.equal(error, undefined);
  return result;
}

/** Publications of a subscription as they come, and a promise of the first `count` of them. */
function watch(sub, decode) {
  const seen = [];
  let wake = () => {};
  sub.on('publication', (context) => {
    seen.push({ offset: context.offset, data: decode(context.data) });
    wake();
  });
  return async (count) => {
    const deadline = Date.now() + 10_000;
    while (seen.length < count) {
      assert.ok(Date.now() < deadline, `${seen.length} of ${count} publications within 10 s`);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 1000).unref();
      });
    }
    return seen;
  };
}

for (const { name, Client, decode } of builds) {
  describe(`centrifuge-js, ${name}, made to measure`, () => {
    const newClient = clientsOf(Client);

    async function subscribed(channel, options) {
      const client = newClient();
      client.connect();
      const sub = client.newSubscription(channel, options);
      const seen = watch(sub, decode);
      sub.on('error', (context) => assert.fail(JSON.stringify(context)));
      sub.subscribe();
      await sub.ready(10_000);
      return { client, sub, seen };
    }

    test('patches become payloads again, for early and late subscribers', async () => {
      const channel = `delta:js-${randomUUID()}`;
      const early = await subscribed(channel, { delta: 'fossil' });
      for (let n = 1; n <= 5; n++) await publish(channel, payload(n));
      await early.seen(5);
      const late = await subscribed(channel, { delta: 'fossil' });
      const plain = await subscribed(channel);
      await publish(channel, 'something else');
      for (let n = 7; n <= 12; n++) await publish(channel, payload(n));
      const expected = Array.from({ length: 12 }, (_, at) => ({
        offset: at + 1,
        data: at === 5 ? 'something else' : payload(at + 1),
      }));
      assert.deepEqual(await early.seen(12), expected);
      assert.deepEqual(await late.seen(7), expected.slice(5));
      assert.deepEqual(await plain.seen(7), expected.slice(5));
    });

    test('patches go on across a recovery', async () => {
      const channel = `delta:js-${randomUUID()}`;
      const { client, sub, seen } = await subscribed(channel, { delta: 'fossil' });
      await publish(channel, payload(1));
      await publish(channel, payload(2));
      await seen(2);
      for (const missed of [[3, 4, 5], []]) {
        client.disconnect();
        for (const n of missed) await publish(channel, payload(n));
        const again = next(sub, 'subscribed');
        client.connect();
        assert.equal((await again).recovered, true);
      }
      await publish(channel, payload(6));
      assert.deepEqual((await seen(6)).map((p) => p.data), [1, 2, 3, 4, 5, 6].map(payload));
    });

    test('a filter holds for what is pushed and for what is recovered', async () => {
      const channel = `tags:js-${randomUUID()}`;
      const tagsFilter = {
        op: 'and',
        nodes: [
          { key: 'price', cmp: 'gte', val: '10' },
          { op: 'not', nodes: [{ key: 'ticker', cmp: 'in', vals: ['B', 'C'] }] },
        ],
      };
      const { client, sub, seen } = await subscribed(channel, { tagsFilter });
      const offer = (ticker, price) => publish(channel, { ticker, price }, { tags: { ticker, price } });
      await offer('A', '9.99');
      await offer('A', '10.0');
      await offer('B', '12');
      await offer('D', '100');
      await seen(2);
      client.disconnect();
      await offer('C', '50');
      await offer('E', '11');
      await offer('E', '1');
      const again = next(sub, 'subscribed');
      client.connect();
      assert.equal((await again).recovered, true);
      await offer('F', '10');
      assert.deepEqual((await seen(4)).map((p) => [p.offset, p.data.ticker]), [[2, 'A'], [4, 'D'], [6, 'E'], [8, 'F']]);
    });

    test('a cache brings the newest publication, asked for or not', async () => {
      const channel = `cache:js-${randomUUID()}`;
      await publish(channel, { n: 1 });
      await publish(channel, { n: 2 });
      const { client, sub, seen } = await subscribed(channel);
      assert.deepEqual(await seen(1), [{ offset: 2, data: { n: 2 } }]);
      client.disconnect();
      await publish(channel, { n: 3 });
      await publish(channel, { n: 4 });
      const again = next(sub, 'subscribed');
      client.connect();
      assert.equal((await again).recovered, true);
      assert.deepEqual((await seen(2)).map((p) => p.data.n), [2, 4]);
    });
  });
}
