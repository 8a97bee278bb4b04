package interop

import (
	"errors"
	"os"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// A packet to a key that is not connected is reported to its sender only if it
// looks like a discovery packet: at least 62 bytes that begin with the magic.
func TestPeerGoneNotHere(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a, other := Login(t, s), Login(t, s)
		nobody := key.NewNode().Public()
		for _, data := range [][]byte{{}, make([]byte, 62), make([]byte, 9000), discoPacket(6), discoPacket(61)} {
			a.Send(t, nobody, data)
		}
		a.ExpectQuiet(t)
		a.Send(t, nobody, discoPacket(62))
		a.ExpectPeerGone(t, nobody, derp.PeerGoneReasonNotHere)
		zero := key.NodePublic{}
		a.Send(t, zero, discoPacket(derp.MaxPacketSize))
		a.ExpectPeerGone(t, zero, derp.PeerGoneReasonNotHere)
		a.ExpectAlive(t)
		other.ExpectAlive(t)
	})
}

// These reports are limited per sender: three at once, then one per second.
func TestPeerGoneRate(t *testing.T) {
	const burst = 3
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a := Login(t, s)
		nobody := key.NewNode().Public()
		start := time.Now()
		for range 50 {
			a.Send(t, nobody, discoPacket(100))
		}
		for range burst {
			a.ExpectPeerGone(t, nobody, derp.PeerGoneReasonNotHere)
		}
		// Ask on until the fourth report: not before a second has passed.
		deadline := start.Add(patience)
		for {
			a.Send(t, nobody, discoPacket(100))
			typ, b, err := a.Next(50 * time.Millisecond)
			if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if typ != derp.FramePeerGone || parsePeerGone(t, b) != (PeerGone{nobody, derp.PeerGoneReasonNotHere}) {
				t.Fatalf("got frame %#02x %x", typ, b)
			}
			break
		}
		if took := time.Since(start); took < 900*time.Millisecond || took > patience/2 {
			t.Errorf("the fourth report came after %v, want one second", took)
		}
		// The limit is the sender's own: another has its burst.
		b := Login(t, s)
		for range burst {
			b.Send(t, nobody, discoPacket(62))
			b.ExpectPeerGone(t, nobody, derp.PeerGoneReasonNotHere)
		}
	})
}

// When a client leaves, those who received packets from it are told, once per
// connection. Those who only sent to it, or never heard of it, are not.
func TestPeerGoneDisconnected(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		src := Login(t, s)
		var receivers, senders []*Raw
		for range 4 {
			r, n := Login(t, s), Login(t, s)
			receivers, senders = append(receivers, r), append(senders, n)
			for range 2 {
				src.Send(t, r.Pub, []byte("hello"))
				r.ExpectPacket(t, src.Pub, []byte("hello"))
			}
			n.Send(t, src.Pub, []byte("hi"))
			src.ExpectPacket(t, n.Pub, []byte("hi"))
		}
		stranger := Login(t, s)
		src.Close()
		for _, r := range receivers {
			r.ExpectPeerGone(t, src.Pub, derp.PeerGoneReasonDisconnected)
			r.ExpectAlive(t)
		}
		for _, c := range append(senders, stranger) {
			c.ExpectAlive(t)
		}
		stranger.ExpectQuiet(t)
		s.AwaitVarz(t, map[string]float64{"derp_peer_gone_disconnected_frames": 4})
	})
}

// A sender that returns, sends and leaves again is reported again by relayd,
// so that the receiver does not keep a dead route. derper remembers per
// connection what it has reported and stays silent.
func TestPeerGoneRearmed(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		b := Login(t, s)
		priv := key.NewNode()
		for round := range 3 {
			a := LoginAs(t, s, priv)
			a.Send(t, b.Pub, []byte("hello"))
			b.ExpectPacket(t, a.Pub, []byte("hello"))
			a.Close()
			if round == 0 || v.kind == Relayd {
				b.ExpectPeerGone(t, a.Pub, derp.PeerGoneReasonDisconnected)
			} else {
				b.ExpectQuiet(t)
			}
		}
		b.ExpectAlive(t)
	})
}

// The stock client understands both reports.
func TestPeerGoneStockClient(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a, b := ConnectPeer(t, s), ConnectPeer(t, s)
		transfer(t, a, b, makePackets(1, 3, 100), 1)
		a.Close()
		nobody := key.NewNode().Public()
		for _, want := range []derp.PeerGoneMessage{
			{Peer: a.Pub, Reason: derp.PeerGoneReasonDisconnected},
			{Peer: nobody, Reason: derp.PeerGoneReasonNotHere},
		} {
			if want.Peer == nobody {
				if err := b.Send(nobody, discoPacket(62)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case got := <-b.Gone:
				if got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			case <-time.After(patience):
				t.Fatalf("no PeerGone %v", want)
			}
		}
	})
}
