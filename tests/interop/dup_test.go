package interop

import (
	"testing"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// Two connections with one key: the one that wrote last gets the packets, both
// stay open, and the survivor is active again.
func TestDuplicateKey(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		sender := Login(t, s)
		priv := key.NewNode()
		n := byte(0)
		arrivesAt := func(c, other *Raw) {
			t.Helper()
			n++
			sender.Send(t, c.Pub, []byte{n})
			c.ExpectPacket(t, sender.Pub, []byte{n})
			if other != nil {
				other.ExpectQuiet(t)
			}
		}
		gauges := func(keys, conns, total float64) {
			t.Helper()
			s.AwaitVarz(t, map[string]float64{
				"derp_current_dup_client_keys":  keys,
				"derp_current_dup_client_conns": conns,
				"derp_total_dup_client_conns":   total,
			})
		}

		first := LoginAs(t, s, priv)
		gauges(0, 0, 0)
		arrivesAt(first, nil)
		second := LoginAs(t, s, priv) // the newest is active
		gauges(1, 2, 1)
		arrivesAt(second, first)
		first.ExpectAlive(t) // any frame makes the writer active
		arrivesAt(first, second)
		second.WriteAll(t, frame(derp.FrameNotePreferred, []byte{0}))
		second.ExpectAlive(t)
		arrivesAt(second, first)
		second.Close()
		gauges(0, 0, 1)
		arrivesAt(first, nil) // without a word from it
		third := LoginAs(t, s, priv)
		gauges(1, 2, 2)
		arrivesAt(third, first)
		first.Close() // the inactive one leaves
		gauges(0, 0, 2)
		arrivesAt(third, nil)
	})
}

// Three connections with one key: when the active one leaves, the next to
// write takes over.
func TestTripleKey(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		sender := Login(t, s)
		priv := key.NewNode()
		a, b, c := LoginAs(t, s, priv), LoginAs(t, s, priv), LoginAs(t, s, priv)
		s.AwaitVarz(t, map[string]float64{
			"derp_current_connections": 4, "derp_clients_local": 2,
			"derp_current_dup_client_keys": 1, "derp_current_dup_client_conns": 3,
			"derp_total_dup_client_conns": 2,
		})
		c.Close()
		s.AwaitVarz(t, map[string]float64{"derp_current_dup_client_conns": 2})
		for _, pair := range [][2]*Raw{{a, b}, {b, a}, {a, b}} {
			pair[0].ExpectAlive(t)
			sender.Send(t, a.Pub, []byte("x"))
			pair[0].ExpectPacket(t, sender.Pub, []byte("x"))
			pair[1].ExpectQuiet(t)
		}
	})
}

// A key is gone when its last connection is: a receiver is told then, and once.
func TestDuplicateKeyPeerGone(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		b := Login(t, s)
		priv := key.NewNode()
		first, second := LoginAs(t, s, priv), LoginAs(t, s, priv)
		for _, c := range []*Raw{first, second} {
			c.Send(t, b.Pub, []byte("hello"))
			b.ExpectPacket(t, c.Pub, []byte("hello"))
		}
		first.Close()
		b.ExpectQuiet(t)
		second.Close()
		b.ExpectPeerGone(t, second.Pub, derp.PeerGoneReasonDisconnected)
		b.ExpectAlive(t)
		b.ExpectQuiet(t)
	})
}

// Two clones that write by turns: each packet arrives at one of them, nothing
// is closed, and the server keeps answering.
func TestClonesTakeTurns(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		sender := Login(t, s)
		priv := key.NewNode()
		clones := []*Raw{LoginAs(t, s, priv), LoginAs(t, s, priv)}
		for i := range 300 {
			c := clones[i%2]
			c.ExpectAlive(t)
			sender.Send(t, c.Pub, []byte{byte(i)})
			c.ExpectPacket(t, sender.Pub, []byte{byte(i)})
		}
	})
}
