"""The official Python client, JSON and Protobuf, against the server named by SDK_WS."""

import asyncio
import os
import unittest
import uuid

from centrifuge import Client, CentrifugeError, ClientEventHandler, StreamPosition, SubscriptionEventHandler

DEADLINE = 10


class Watcher(SubscriptionEventHandler):
    """Keeps what a subscription hears in queues, so that a test waits for events and never sleeps."""

    def __init__(self):
        self.publications = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        self.joins = asyncio.Queue()
        self.leaves = asyncio.Queue()

    async def on_publication(self, ctx):
        self.publications.put_nowait(ctx.pub)

    async def on_subscribed(self, ctx):
        self.subscribed.put_nowait(ctx)

    async def on_join(self, ctx):
        self.joins.put_nowait(ctx.info)

    async def on_leave(self, ctx):
        self.leaves.put_nowait(ctx.info)

    async def take(self, count):
        return [await asyncio.wait_for(self.publications.get(), DEADLINE) for _ in range(count)]


class DisconnectWatcher(ClientEventHandler):
    def __init__(self):
        self.disconnected = asyncio.Queue()

    async def on_disconnected(self, ctx):
        self.disconnected.put_nowait(ctx)


class ClientTest:
    """The cases; the two classes below choose the protocol."""

    use_protobuf = False

    def encode(self, n):
        return str(n).encode() if self.use_protobuf else {"n": n}

    def decode(self, data):
        return int(data) if self.use_protobuf else data["n"]

    async def connected(self):
        client = Client(os.environ["SDK_WS"], token=os.environ["SDK_TOKEN"], use_protobuf=self.use_protobuf)
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.ready(timeout=DEADLINE)
        return client

    async def subscribed(self, client, channel):
        watcher = Watcher()
        sub = client.new_subscription(channel, events=watcher)
        await sub.subscribe()
        await sub.ready(timeout=DEADLINE)
        await asyncio.wait_for(watcher.subscribed.get(), DEADLINE)
        return sub, watcher

    async def test_publications_reach_every_subscriber_in_order(self):
        channel = f"sdk:py-{uuid.uuid4()}"
        a, b = await self.connected(), await self.connected()
        (sub, watcher_a), (_, watcher_b) = await self.subscribed(a, channel), await self.subscribed(b, channel)
        for n in range(1, 21):
            await sub.publish(self.encode(n))
        for watcher in (watcher_a, watcher_b):
            publications = await watcher.take(20)
            self.assertEqual([self.decode(p.data) for p in publications], list(range(1, 21)))
            self.assertEqual([p.offset for p in publications], list(range(1, 21)))

    async def test_what_was_missed_is_recovered_once_and_in_order(self):
        channel = f"sdk:py-{uuid.uuid4()}"
        reader, writer = await self.connected(), await self.connected()
        _, watcher = await self.subscribed(reader, channel)
        await writer.publish(channel, self.encode(1))
        seen = await watcher.take(1)
        await reader.disconnect()
        for n in range(2, 8):
            await writer.publish(channel, self.encode(n))
        await reader.connect()
        again = await asyncio.wait_for(watcher.subscribed.get(), DEADLINE)
        self.assertTrue(again.was_recovering)
        self.assertTrue(again.recovered)
        await writer.publish(channel, self.encode(8))
        seen += await watcher.take(7)
        self.assertEqual([self.decode(p.data) for p in seen], list(range(1, 9)))
        self.assertTrue(watcher.publications.empty())

    async def test_history_and_presence(self):
        channel = f"sdk:py-{uuid.uuid4()}"
        a, b = await self.connected(), await self.connected()
        sub_a, watcher_a = await self.subscribed(a, channel)
        own = await asyncio.wait_for(watcher_a.joins.get(), DEADLINE)
        sub_b, _ = await self.subscribed(b, channel)
        other = await asyncio.wait_for(watcher_a.joins.get(), DEADLINE)
        self.assertEqual((own.user, other.user), ("sdk-user", "sdk-user"))
        self.assertNotEqual(own.client, other.client)
        for n in range(1, 6):
            await sub_a.publish(self.encode(n))
        page = await sub_b.history(limit=2, since=StreamPosition(offset=1, epoch=""))
        self.assertEqual([self.decode(p.data) for p in page.publications], [2, 3])
        self.assertEqual(page.offset, 5)
        newest = await sub_a.history(limit=1, reverse=True)
        self.assertEqual([self.decode(p.data) for p in newest.publications], [5])
        presence = await sub_a.presence()
        self.assertEqual(set(presence.clients), {own.client, other.client})
        await sub_b.unsubscribe()
        left = await asyncio.wait_for(watcher_a.leaves.get(), DEADLINE)
        self.assertEqual(left.client, other.client)
        stats = await sub_a.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    async def test_errors_keep_their_codes(self):
        client = await self.connected()
        with self.assertRaises(CentrifugeError) as raised:
            await client.publish("nowhere:x", self.encode(1))
        self.assertEqual(raised.exception.code, 102)

    async def test_a_bad_token_ends_the_connection(self):
        watcher = DisconnectWatcher()
        client = Client(os.environ["SDK_WS"], token="no.good.token", use_protobuf=self.use_protobuf, events=watcher)
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        ended = await asyncio.wait_for(watcher.disconnected.get(), DEADLINE)
        self.assertEqual(ended.code, 3500)


class JsonClientTest(ClientTest, unittest.IsolatedAsyncioTestCase):
    use_protobuf = False


class ProtobufClientTest(ClientTest, unittest.IsolatedAsyncioTestCase):
    use_protobuf = True


if __name__ == "__main__":
    unittest.main()
