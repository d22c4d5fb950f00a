// Package sdk drives the official Go client, JSON and Protobuf, against the server named by SDK_WS.
package sdk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

const deadline = 10 * time.Second

type protocol struct {
	name   string
	create func(string, centrifuge.Config) *centrifuge.Client
}

func eachProtocol(t *testing.T, run func(t *testing.T, p protocol)) {
	for _, p := range []protocol{{"JSON", centrifuge.NewJsonClient}, {"Protobuf", centrifuge.NewProtobufClient}} {
		t.Run(p.name, func(t *testing.T) { run(t, p) })
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// take waits for one value; it fails rather than hangs.
func take[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(deadline):
		t.Fatalf("no %s within %s", what, deadline)
		panic("unreachable")
	}
}

func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func connected(t *testing.T, p protocol) *centrifuge.Client {
	t.Helper()
	client := p.create(os.Getenv("SDK_WS"), centrifuge.Config{Token: os.Getenv("SDK_TOKEN")})
	t.Cleanup(client.Close)
	up := make(chan centrifuge.ConnectedEvent, 4)
	client.OnConnected(func(e centrifuge.ConnectedEvent) { up <- e })
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
	take(t, up, "connected")
	return client
}

type watched struct {
	*centrifuge.Subscription
	publications chan centrifuge.Publication
	subscribed   chan centrifuge.SubscribedEvent
	joins        chan centrifuge.ClientInfo
	leaves       chan centrifuge.ClientInfo
}

func subscribed(t *testing.T, client *centrifuge.Client, channel string) watched {
	t.Helper()
	sub := must(client.NewSubscription(channel))(t)
	w := watched{
		sub, make(chan centrifuge.Publication, 100), make(chan centrifuge.SubscribedEvent, 4),
		make(chan centrifuge.ClientInfo, 100), make(chan centrifuge.ClientInfo, 100),
	}
	sub.OnPublication(func(e centrifuge.PublicationEvent) { w.publications <- e.Publication })
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { w.subscribed <- e })
	sub.OnJoin(func(e centrifuge.JoinEvent) { w.joins <- e.ClientInfo })
	sub.OnLeave(func(e centrifuge.LeaveEvent) { w.leaves <- e.ClientInfo })
	if err := sub.Subscribe(); err != nil {
		t.Fatal(err)
	}
	take(t, w.subscribed, "subscribed")
	return w
}

func (w watched) expect(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		publication := take(t, w.publications, fmt.Sprintf("publication %d", n))
		if string(publication.Data) != strconv.Itoa(n) || publication.Offset != uint64(n) {
			t.Fatalf("expected publication %d, got %s at offset %d", n, publication.Data, publication.Offset)
		}
	}
}

func fresh() string { return "sdk:go-" + rand.Text() }

func publish(t *testing.T, client *centrifuge.Client, channel string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		must(client.Publish(within(t), channel, []byte(strconv.Itoa(n))))(t)
	}
}

func TestPublicationsReachEverySubscriberInOrder(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		channel := fresh()
		a, b := connected(t, p), connected(t, p)
		subA, subB := subscribed(t, a, channel), subscribed(t, b, channel)
		publish(t, a, channel, 1, 20)
		subA.expect(t, 1, 20)
		subB.expect(t, 1, 20)
	})
}

func TestMissedPublicationsAreRecovered(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		channel := fresh()
		reader, writer := connected(t, p), connected(t, p)
		sub := subscribed(t, reader, channel)
		publish(t, writer, channel, 1, 1)
		sub.expect(t, 1, 1)
		if err := reader.Disconnect(); err != nil {
			t.Fatal(err)
		}
		publish(t, writer, channel, 2, 7)
		if err := reader.Connect(); err != nil {
			t.Fatal(err)
		}
		again := take(t, sub.subscribed, "subscribed")
		if !again.WasRecovering || !again.Recovered {
			t.Fatalf("not recovered: %+v", again)
		}
		publish(t, writer, channel, 8, 8)
		sub.expect(t, 2, 8)
	})
}

func TestHistoryAndPresence(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		channel := fresh()
		a, b := connected(t, p), connected(t, p)
		subA := subscribed(t, a, channel)
		own := take(t, subA.joins, "own join")
		subB := subscribed(t, b, channel)
		other := take(t, subA.joins, "join")
		if own.User != "sdk-user" || other.User != "sdk-user" || own.Client == other.Client {
			t.Fatalf("joins: %+v, %+v", own, other)
		}
		publish(t, a, channel, 1, 5)
		since := centrifuge.StreamPosition{Offset: 1}
		page := must(subB.History(within(t), centrifuge.WithHistoryLimit(2), centrifuge.WithHistorySince(&since)))(t)
		if len(page.Publications) != 2 || string(page.Publications[0].Data) != "2" || page.Offset != 5 {
			t.Fatalf("history: %+v", page)
		}
		newest := must(subB.History(within(t), centrifuge.WithHistoryLimit(1), centrifuge.WithHistoryReverse(true)))(t)
		if len(newest.Publications) != 1 || string(newest.Publications[0].Data) != "5" {
			t.Fatalf("newest: %+v", newest)
		}
		presence := must(subA.Presence(within(t)))(t)
		if len(presence.Clients) != 2 || presence.Clients[other.Client].User != "sdk-user" {
			t.Fatalf("presence: %+v", presence)
		}
		if err := subB.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		if left := take(t, subA.leaves, "leave"); left.Client != other.Client {
			t.Fatalf("leave: %+v", left)
		}
		if stats := must(subA.PresenceStats(within(t)))(t); stats.NumClients != 1 || stats.NumUsers != 1 {
			t.Fatalf("presence stats: %+v", stats)
		}
	})
}

func TestErrorsKeepTheirCodes(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		client := connected(t, p)
		_, err := client.Publish(within(t), "nowhere:x", []byte("{}"))
		var reply *centrifuge.Error
		if !errors.As(err, &reply) || reply.Code != 102 {
			t.Fatalf("expected error 102, got %v", err)
		}
	})
}

func TestBadTokenEndsTheConnection(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		client := p.create(os.Getenv("SDK_WS"), centrifuge.Config{Token: "no.good.token"})
		defer client.Close()
		ended := make(chan centrifuge.DisconnectedEvent, 1)
		client.OnDisconnected(func(e centrifuge.DisconnectedEvent) { ended <- e })
		if err := client.Connect(); err != nil {
			t.Fatal(err)
		}
		if e := take(t, ended, "disconnected"); e.Code != 3500 {
			t.Fatalf("expected 3500, got %+v", e)
		}
	})
}
