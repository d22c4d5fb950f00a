"""The official server API client (cent) against the server named by SDK_API."""

import os
import unittest
import uuid

from cent import (
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentTransportError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
)


class ServerApiTest(unittest.TestCase):
    def setUp(self):
        self.api = Client(os.environ["SDK_API"], os.environ["SDK_API_KEY"])
        self.addCleanup(self.api.close)
        self.channel = f"sdk:cent-{uuid.uuid4()}"

    def test_publish_and_history(self):
        for n in range(1, 6):
            result = self.api.publish(PublishRequest(channel=self.channel, data={"n": n}))
            self.assertEqual(result.offset, n)
        epoch = result.epoch
        self.assertTrue(epoch)
        page = self.api.history(
            HistoryRequest(channel=self.channel, limit=2, since=StreamPosition(offset=1, epoch=epoch))
        )
        self.assertEqual([p.data["n"] for p in page.publications], [2, 3])
        self.assertEqual((page.offset, page.epoch), (5, epoch))
        self.api.history_remove(HistoryRemoveRequest(channel=self.channel))
        emptied = self.api.history(HistoryRequest(channel=self.channel, limit=-1))
        self.assertEqual((emptied.publications, emptied.offset), ([], 5))

    def test_a_key_makes_a_publication_idempotent(self):
        first = self.api.publish(PublishRequest(channel=self.channel, data=1, idempotency_key="k"))
        again = self.api.publish(PublishRequest(channel=self.channel, data=2, idempotency_key="k"))
        self.assertEqual(first, again)
        self.assertEqual(len(self.api.history(HistoryRequest(channel=self.channel, limit=-1)).publications), 1)

    def test_broadcast_answers_for_each_channel(self):
        channels = [f"{self.channel}-{i}" for i in range(8)] + ["nowhere:x"]
        result = self.api.broadcast(BroadcastRequest(channels=channels, data={"to": "all"}))
        self.assertEqual([r.result.offset for r in result.responses[:8]], [1] * 8)
        self.assertEqual(result.responses[8].error.code, 102)

    def test_batch_answers_in_order(self):
        requests = [PublishRequest(channel=self.channel, data=n) for n in range(3)]
        result = self.api.batch(BatchRequest(requests=[*requests, HistoryRequest(channel=self.channel)]))
        self.assertEqual([r.offset for r in result.replies[:3]], [1, 2, 3])
        self.assertEqual(result.replies[3].offset, 3)

    def test_nobody_is_present(self):
        self.assertEqual(self.api.presence(PresenceRequest(channel=self.channel)).presence, {})
        stats = self.api.presence_stats(PresenceStatsRequest(channel=self.channel))
        self.assertEqual((stats.num_clients, stats.num_users), (0, 0))

    def test_commands_for_users_who_are_not_here(self):
        self.api.subscribe(SubscribeRequest(user="nobody", channel=self.channel))
        self.api.unsubscribe(UnsubscribeRequest(user="nobody", channel=self.channel))
        self.api.disconnect(DisconnectRequest(user="nobody"))
        self.api.refresh(RefreshRequest(user="nobody"))

    def test_info_and_channels(self):
        nodes = self.api.info(InfoRequest()).nodes
        self.assertEqual(len(nodes), 1)
        self.assertTrue(nodes[0].uid)
        self.assertIsInstance(self.api.channels(ChannelsRequest()).channels, dict)

    def test_errors(self):
        with self.assertRaises(CentApiResponseError) as raised:
            self.api.publish(PublishRequest(channel="nowhere:x", data=1))
        self.assertEqual(raised.exception.code, 102)
        with Client(os.environ["SDK_API"], "wrong") as stranger, self.assertRaises(CentUnauthorizedError):
            stranger.info(InfoRequest())
        with Client(os.environ["SDK_API"] + "/nothing", os.environ["SDK_API_KEY"]) as lost:
            with self.assertRaises(CentTransportError) as raised:
                lost.info(InfoRequest())
            self.assertEqual(raised.exception.status_code, 404)


if __name__ == "__main__":
    unittest.main()
