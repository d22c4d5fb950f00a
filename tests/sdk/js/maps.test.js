// Map subscriptions of the official JavaScript client, its JSON and its Protobuf build, against the server named by
// SDK_WS.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { builds, clientsOf, connected as connect, next, within } from './support.js';

/** What a subscription shows of a map, as its user keeps it: whole after a sync, then change by change. */
class Mirror {
  constructor(sub, decode) {
    this.keys = new Map();
    this.waiting = [];
    sub.on('sync', ({ entries }) => {
      this.keys = new Map(entries.map((entry) => [entry.key, decode(entry.data)]));
      this.look();
    });
    sub.on('update', ({ key, data, removed }) => {
      if (removed) this.keys.delete(key);
      else this.keys.set(key, decode(data));
      this.look();
    });
  }

  look() {
    this.waiting = this.waiting.filter((is) => !is());
  }

  /** Waits until the map is exactly this. */
  async becomes(expected) {
    const is = () => {
      try {
        assert.deepEqual(Object.fromEntries(this.keys), expected);
        return true;
      } catch {
        return false;
      }
    };
    if (is()) return;
    try {
      await within('such map', (resolve) => this.waiting.push(() => is() && (resolve(), true)));
    } catch {
      assert.deepEqual(Object.fromEntries(this.keys), expected);
    }
  }
}

for (const { name, Client, encode, decode } of builds) {
  describe(`maps of centrifuge-js, ${name}`, () => {
    const newClient = clientsOf(Client);
    const connected = () => connect(newClient());

    async function subscribed(sub, read = decode) {
      const mirror = new Mirror(sub, read);
      sub.subscribe();
      await sub.ready(10_000);
      return mirror;
    }

    const numbers = (from, to) => Object.fromEntries(Array.from({ length: to - from }, (_, n) => [`k${from + n}`, from + n]));

    async function fill(client, channel, from, to) {
      for (const [key, value] of Object.entries(numbers(from, to))) {
        await client.mapPublish(channel, key, encode(value));
      }
    }

    test('a map of several pages is shown whole, and then its changes', async () => {
      const channel = `map:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 135);
      const sub = reader.newMapSubscription(channel);
      const mirror = await subscribed(sub);
      await mirror.becomes(numbers(100, 135));
      await fill(writer, channel, 135, 137);
      await sub.publish('k100', encode('new'));
      await sub.remove('k101');
      const expected = { ...numbers(100, 137), k100: 'new' };
      delete expected.k101;
      await mirror.becomes(expected);
    });

    test('what changes while pages are read is not missed', async () => {
      const channel = `map:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 150);
      const sub = reader.newMapSubscription(channel);
      const [mirror] = await Promise.all([subscribed(sub), fill(writer, channel, 120, 180)]);
      await mirror.becomes(numbers(100, 180));
    });

    test('what was missed while disconnected is recovered', async () => {
      const channel = `map:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 103);
      const sub = reader.newMapSubscription(channel);
      const mirror = await subscribed(sub);
      await mirror.becomes(numbers(100, 103));
      reader.disconnect();
      await fill(writer, channel, 103, 130);
      await writer.mapRemove(channel, 'k100');
      const again = next(sub, 'subscribed');
      reader.connect();
      const context = await again;
      assert.equal(context.wasRecovering, true);
      assert.equal(context.recovered, true);
      await mirror.becomes(numbers(101, 130));
    });

    test('a map without a stream is read anew', async () => {
      const channel = `mapeph:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 103);
      const sub = reader.newMapSubscription(channel);
      const mirror = await subscribed(sub);
      await mirror.becomes(numbers(100, 103));
      reader.disconnect();
      await fill(writer, channel, 103, 105);
      const again = next(sub, 'subscribed');
      reader.connect();
      await again;
      await mirror.becomes(numbers(100, 105));
    });

    test('a place that is lost is told, and the map is read anew', async () => {
      const channel = `mapshort:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 103);
      const sub = reader.newMapSubscription(channel);
      const mirror = await subscribed(sub);
      await mirror.becomes(numbers(100, 103));
      reader.disconnect();
      // More changes than the server keeps: error 112 answers the attempt to recover.
      await writer.mapRemove(channel, 'k100');
      await fill(writer, channel, 103, 120);
      const again = next(sub, 'subscribed');
      reader.connect();
      const context = await again;
      assert.equal(context.recovered, false);
      await mirror.becomes(numbers(101, 120));
      await fill(writer, channel, 120, 122);
      await mirror.becomes(numbers(101, 122));
    });

    test('leaving in the middle of the pages hurts nothing else', async () => {
      const channel = `map:js-${randomUUID()}`;
      const [reader, writer] = [await connected(), await connected()];
      await fill(writer, channel, 100, 150);
      const other = await subscribed(reader.newMapSubscription(`${channel}-other`));
      const sub = reader.newMapSubscription(channel);
      sub.subscribe();
      sub.unsubscribe();
      let lost = false;
      reader.on('disconnected', () => (lost = true));
      reader.on('connecting', () => (lost = true));
      await writer.mapPublish(`${channel}-other`, 'k1', encode(1));
      await other.becomes({ k1: 1 });
      const mirror = await subscribed(sub);
      await mirror.becomes(numbers(100, 150));
      assert.equal(lost, false);
    });

    test('clients and users of a channel', async () => {
      const channel = `seen:js-${randomUUID()}`;
      const [watcher, a, b] = [await connected(), await connected(), await connected()];
      const present = (entry) => entry;
      const clientsSub = watcher.newMapClientsSubscription(`seenclients:${channel}`);
      const usersSub = watcher.newMapUsersSubscription(`seenusers:${channel}`);
      const [here, users] = [new Set(), new Set()];
      const keep = (set) => ({ key, removed }) => (removed ? set.delete(key) : set.add(key));
      clientsSub.on('update', keep(here));
      usersSub.on('update', keep(users));
      await Promise.all([subscribed(clientsSub, present), subscribed(usersSub, present)]);
      const came = within('both clients', (resolve) => clientsSub.on('update', () => here.size === 2 && resolve()));
      // Another channel: no order between the two.
      const userCame = within('their user', (resolve) => usersSub.on('update', () => users.size === 1 && resolve()));
      const subs = [a, b].map((client) => client.newSubscription(channel));
      subs.forEach((sub) => sub.subscribe());
      await Promise.all([came, userCame]);
      assert.deepEqual([...users], ['sdk-user']);
      const left = within('one client', (resolve) => clientsSub.on('update', () => here.size === 1 && resolve()));
      subs[0].unsubscribe();
      await left;
      assert.equal(users.size, 1);
    });
  });
}
