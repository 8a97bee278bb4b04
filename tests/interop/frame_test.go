package interop

import (
	"bytes"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// A ping is answered with its first 8 bytes; the rest is room for the future.
// A ping of fewer than 8 or more than 1,000 bytes closes the connection.
func TestPing(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, n := range []int{8, 9, 1000} {
			c := Login(t, s)
			data := makePackets(uint64(n), 7, 1000)[5][:n]
			c.WriteAll(t, frame(derp.FramePing, data))
			if got := c.Expect(t, derp.FramePong); !bytes.Equal(got, data[:8]) {
				t.Errorf("ping of %d bytes: pong %x, want %x", n, got, data[:8])
			}
			c.ExpectAlive(t)
		}
		for _, n := range []int{0, 7, 1001} {
			c := Login(t, s)
			c.Write(frame(derp.FramePing, make([]byte, n)))
			if seen := c.ExpectClosed(t, patience); len(seen) > 0 {
				t.Errorf("ping of %d bytes: got frames %v, want a close", n, seen)
			}
		}
		a := ConnectPeer(t, s)
		if err := a.Ping(t.Context()); err != nil {
			t.Errorf("the stock client's ping: %v", err)
		}
	})
}

// Pings that come faster than they can be answered may be dropped, but never
// close the connection, and the last one of a pause is answered.
func TestPingFlood(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		c := Login(t, s)
		var flood []byte
		for i := range 2000 {
			flood = append(flood, frame(derp.FramePing, []byte{'f', 0, 0, 0, 0, 0, byte(i >> 8), byte(i)})...)
		}
		c.WriteAll(t, flood)
		fence := []byte("the last")
		deadline := time.Now().Add(patience)
		for got := ""; got != string(fence); {
			if time.Now().After(deadline) {
				t.Fatal("no pong after the flood")
			}
			c.WriteAll(t, frame(derp.FramePing, fence))
			got = string(c.Expect(t, derp.FramePong))
		}
	})
}

// NotePreferred has exactly one byte, and counts as home client in the gauge
// while it is not zero.
func TestNotePreferred(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		home := func(want float64) {
			t.Helper()
			s.AwaitVarz(t, map[string]float64{"derp_current_home_connections": want})
		}
		a, b := Login(t, s), Login(t, s)
		note := func(c *Raw, v byte) { c.WriteAll(t, frame(derp.FrameNotePreferred, []byte{v})) }
		note(a, 1)
		home(1)
		note(a, 1) // said twice, counted once
		note(b, 255)
		home(2)
		note(a, 0)
		home(1)
		b.Close()
		home(0)
		a.ExpectAlive(t)
		for _, n := range []int{0, 2} {
			c := Login(t, s)
			c.Write(frame(derp.FrameNotePreferred, make([]byte, n)))
			if seen := c.ExpectClosed(t, patience); len(seen) > 0 {
				t.Errorf("NotePreferred of %d bytes: got frames %v, want a close", n, seen)
			}
		}
		home(0)

		p := ConnectPeer(t, s) // the stock client's way
		p.NotePreferred(true)
		home(1)
		p.NotePreferred(false)
		home(0)
	})
}

// Frames of a type that the server does not know, or that only it sends, are
// skipped whatever their length.
func TestUnknownFrames(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		c := Login(t, s)
		for _, typ := range []derp.FrameType{
			0x00, derp.FrameServerKey, derp.FrameClientInfo, derp.FrameServerInfo,
			derp.FrameRecvPacket, derp.FrameKeepAlive, derp.FramePeerGone,
			derp.FramePeerPresent, 0x0b, 0x0f, derp.FramePong, derp.FrameHealth,
			derp.FrameRestarting, 0x16, 0x7f, 0xff,
		} {
			for _, n := range []int{0, 1, 100, 70_000} {
				c.WriteAll(t, frame(typ, make([]byte, n)))
			}
			c.ExpectAlive(t)
		}
		for range 3 {
			c.WriteAll(t, frame(0x7f, make([]byte, 1<<20)))
		}
		c.ExpectAlive(t)
		c.Send(t, c.Pub, []byte("still in step"))
		c.ExpectPacket(t, c.Pub, []byte("still in step"))
	})
}

// SendPacket carries a key and 0 to 65,536 bytes; everything else closes the
// connection of the sender, and only that.
func TestSendPacketLimits(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		b := Login(t, s)
		a := Login(t, s)
		for _, n := range edgeSizes {
			data := bytes.Repeat([]byte{byte(n)}, n)
			a.Send(t, b.Pub, data)
			b.ExpectPacket(t, a.Pub, data)
		}
		a.ExpectAlive(t)
		for _, bad := range [][]byte{
			frame(derp.FrameSendPacket),
			frame(derp.FrameSendPacket, rawKey(b.Pub)[:31]),
			SendPacket(b.Pub, make([]byte, derp.MaxPacketSize+1)),
			// Header only: refused before anything is read.
			{byte(derp.FrameSendPacket), 255, 255, 255, 255},
		} {
			c := Login(t, s)
			c.SetWriteDeadline(time.Now().Add(patience))
			c.Write(bad)
			if len(bad) == derp.FrameHeaderLen && bad[1] == 255 {
				c.Write(rawKey(b.Pub)) // derper looks at the length after the key
			}
			if seen := c.ExpectClosed(t, patience); len(seen) > 0 {
				t.Errorf("frame of %d bytes: got frames %v, want a close", len(bad), seen)
			}
		}
		b.ExpectAlive(t)
	})
}

// The frames of mesh peers are forbidden to everybody else: the connection is
// closed, and nothing is delivered to or closed for anybody.
func TestMeshFramesForbidden(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		b := Login(t, s)
		for _, bad := range [][]byte{
			frame(derp.FrameForwardPacket, rawKey(b.Pub), rawKey(b.Pub), []byte("forged")),
			frame(derp.FrameForwardPacket),
			frame(derp.FrameWatchConns),
			frame(derp.FrameWatchConns, []byte{0}),
			frame(derp.FrameClosePeer, rawKey(b.Pub)),
			frame(derp.FrameClosePeer),
		} {
			c := Login(t, s)
			c.WriteAll(t, bad)
			if seen := c.ExpectClosed(t, patience); len(seen) > 0 {
				t.Errorf("frame %#02x of %d bytes: got frames %v, want a close", bad[0], len(bad), seen)
			}
		}
		b.ExpectAlive(t)
	})
}

// A mesh key in the ClientInfo gives no rights at a server that has none.
func TestMeshKeyWithoutMesh(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, mesh := range []string{goodMeshKey, string(bytes.Repeat([]byte{'0'}, 64))} {
			c := greeted(t, s)
			c.WriteAll(t, c.ClientInfo([]byte(`{"version":2,"meshKey":"`+mesh+`"}`)))
			c.ReadServerInfo(t)
			c.WriteAll(t, frame(derp.FrameWatchConns))
			if seen := c.ExpectClosed(t, patience); len(seen) > 0 {
				t.Errorf("mesh key %s: got frames %v, want a close", mesh, seen)
			}
		}
	})
}

// The traffic counters count payload: packets and bytes received, sent, and
// dropped for want of a receiver, discovery packets apart.
func TestTrafficCounters(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a, b := Login(t, s), Login(t, s)
		nobody := key.NewNode().Public()
		for range 5 {
			a.Send(t, b.Pub, make([]byte, 1000))
			b.ExpectPacket(t, a.Pub, make([]byte, 1000))
		}
		a.Send(t, b.Pub, discoPacket(62))
		b.ExpectPacket(t, a.Pub, discoPacket(62))
		a.Send(t, nobody, make([]byte, 10))
		a.Send(t, nobody, make([]byte, 20))
		a.Send(t, nobody, discoPacket(100))
		a.ExpectPeerGone(t, nobody, derp.PeerGoneReasonNotHere)
		a.ExpectAlive(t)
		s.AwaitVarz(t, map[string]float64{
			"derp_accepts":                             2,
			"derp_current_connections":                 2,
			"derp_clients_total":                       2,
			"derp_clients_local":                       2,
			"derp_clients_remote":                      0,
			"derp_packets_received":                    9,
			"derp_bytes_received":                      5*1000 + 62 + 130,
			"derp_packets_sent":                        6,
			"derp_bytes_sent":                          5*1000 + 62,
			`derp_packets_received_kind{kind="disco"}`: 2,
			`derp_packets_received_kind{kind="other"}`: 7,
			`derp_packets_dropped{reason="unknown_dest",kind="disco"}`:      1,
			`derp_packets_dropped{reason="unknown_dest",kind="other"}`:      2,
			`derp_bytes_dropped{reason="unknown_dest",kind="disco"}`:        100,
			`derp_bytes_dropped{reason="unknown_dest",kind="other"}`:        30,
			`derp_packets_dropped{reason="queue_head",kind="other"}`:        0,
			"derp_peer_gone_not_here_frames":                                1,
			"derp_peer_gone_disconnected_frames":                            0,
			"derp_got_ping":                                                 1,
			"derp_sent_pong":                                                1,
			`derp_packets_dropped{reason="gone_disconnected",kind="other"}`: 0,
		})
		b.Close()
		s.AwaitVarz(t, map[string]float64{
			"derp_accepts": 2, "derp_current_connections": 1, "derp_clients_total": 1,
			// a received nothing from b, so it is not told.
			"derp_peer_gone_disconnected_frames": 0,
		})
	})
}

// An idle client hears KeepAlive once a minute, plus up to 5 s so that not all
// are woken at once; the stock client gives up after two minutes.
func TestKeepAlive(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		c := Login(t, s)
		start := time.Now()
		typ, b, err := c.Next(66 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if typ != derp.FrameKeepAlive || len(b) != 0 {
			t.Fatalf("got frame %#02x of %d bytes, want KeepAlive", typ, len(b))
		}
		if took := time.Since(start); took < 55*time.Second {
			t.Errorf("KeepAlive after %v, want a minute", took)
		}
		c.ExpectAlive(t)
	})
}
