package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// A packet to oneself or to another, both ways, over TLS with nothing but the
// region of a DERP map: address, port and the pin of a self-made certificate.
func TestPinnedTLS(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(host, func(t *testing.T) {
				s := Start(t, v, Options{Host: host})
				a, b := ConnectPeer(t, s), ConnectPeer(t, s)
				transfer(t, a, b, makePackets(1, 50, 2000), 1)
				transfer(t, b, a, makePackets(2, 50, 2000), 1)
				if a.ServerPublicKey() != b.ServerPublicKey() {
					t.Error("two clients saw different server keys")
				}
			})
		}
	})
}

// Plain HTTP, the way behind a TLS proxy: on a port other than 443, without
// -certmode manual. There is no meta certificate, so clients upgrade by 101.
func TestPlainHTTP(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(host, func(t *testing.T) {
				s := Start(t, v, Options{Host: host, Plain: true})
				a, b := ConnectPeer(t, s), ConnectPeer(t, s)
				transfer(t, a, b, makePackets(3, 50, 2000), 1)
				transfer(t, b, a, makePackets(4, 50, 2000), 1)
			})
		}
	})
}

func modeName(plain bool) string {
	if plain {
		return "plain"
	}
	return "tls"
}

// A pin of another certificate is refused by the client, and the relay does
// not mind.
func TestWrongPin(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		n := s.Node(t)
		digit := n.CertName[len(n.CertName)-1:]
		other := "0"
		if digit == other {
			other = "1"
		}
		n.CertName = n.CertName[:len(n.CertName)-1] + other
		c, _ := newRegionClient(t, regionOf(n))
		expectConnectError(t, c.Connect, "cert hash does not match")
		Login(t, s).ExpectAlive(t)
	})
}

func expectConnectError(t *testing.T, connect func(context.Context) error, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := connect(ctx)
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("connect: %v; want an error with %q", err, text)
	}
}

// A chain of leaf and CA is sent whole: a client that trusts the CA connects,
// one that pins the leaf refuses, since a pin allows exactly one certificate
// beside the meta certificate.
func TestPinWithChain(t *testing.T) {
	const host = "127.0.0.1"
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir := t.TempDir()
		ca, k := newAuthority(t), newECKey(t)
		writeCertFiles(t, dir, host, certPEM(ca.leaf(t, host, k), ca.cert), keyPEM(t, k))
		s := Start(t, v, Options{Dir: dir})

		c, _ := newRegionClient(t, s.Region(t))
		expectConnectError(t, c.Connect, "unexpected multiple certs")

		c, pub := newURLClient(t, s.URL("/derp"))
		c.TLSConfig = &tls.Config{RootCAs: ca.pool()}
		runPeer(t, c, pub)
		if cs, ok := c.TLSConnectionState(); !ok || len(cs.PeerCertificates) != 3 {
			t.Errorf("chain of %d certificates, want leaf, CA and meta", len(cs.PeerCertificates))
		}
	})
}

// Over TLS 1.3 a stock client finds the meta certificate and starts fast: it
// sends request and ClientInfo without reading in between. Over TLS 1.2 it
// waits for the 101 response first.
func TestFastStart(t *testing.T) {
	cases := []struct {
		name     string
		max      uint16
		lastRuns int // writes after the last read, when connect returns
	}{
		// The Finished message, then request and ClientInfo in one.
		{"tls1.3", tls.VersionTLS13, 2},
		// The ClientInfo, after the 101 and the server key were read.
		{"tls1.2", tls.VersionTLS12, 1},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				roots := x509.NewCertPool()
				roots.AddCert(s.Leaf(t))
				dc, pub := newURLClient(t, s.URL("/derp"))
				dc.TLSConfig = &tls.Config{RootCAs: roots, MaxVersion: c.max}
				var rec recorder
				dc.SetURLDialer(rec.dial)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := dc.Connect(ctx); err != nil {
					t.Fatal(err)
				}
				if got := rec.writesAfterLastRead(); got != c.lastRuns {
					t.Errorf("%d writes after the last read, want %d (%s)", got, c.lastRuns, rec.String())
				}
				if cs, _ := dc.TLSConnectionState(); cs.Version != c.max {
					t.Errorf("TLS version %#x, want %#x", cs.Version, c.max)
				}
				a := runPeer(t, dc, pub)
				transfer(t, a, ConnectPeer(t, s), makePackets(5, 10, 2000), 1)
			})
		}
	})
}

// The 1,000 packets of 0 to 65,536 bytes of the project's promise, with a few
// in flight: all arrive, intact and in order.
func TestThousandPackets(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		for _, plain := range []bool{false, true} {
			t.Run(modeName(plain), func(t *testing.T) {
				s := Start(t, v, Options{Plain: plain})
				a, b := ConnectPeer(t, s), ConnectPeer(t, s)
				transfer(t, a, b, makePackets(6, 1000, derp.MaxPacketSize), 16)
			})
		}
	})
}

// The same without a window: relayd's queues take what the sender can deliver
// while the receiver reads. derper's queues hold 32 packets, so there some are
// lost; those that arrive are intact and in order.
func TestThousandPacketsUnpaced(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a, b := ConnectPeer(t, s), ConnectPeer(t, s)
		pkts := makePackets(7, 1000, derp.MaxPacketSize)
		sent := make(chan error, 1)
		go func() {
			for _, p := range pkts {
				if err := a.Send(b.Pub, p); err != nil {
					sent <- err
					return
				}
			}
			sent <- a.Send(b.Pub, lastPacket)
		}()
		lost := receiveWithGaps(t, b, a.Pub, pkts)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if v.kind == Relayd && lost > 0 {
			var drops []string
			for series, n := range s.Varz(t).Value {
				if n > 0 && strings.HasPrefix(series, "derp_packets_dropped") {
					drops = append(drops, fmt.Sprintf("%s %v", series, n))
				}
			}
			t.Errorf("%d of %d packets were lost: %v", lost, len(pkts), drops)
		}
	})
}

// lastPacket ends a transfer in which packets may be lost: queues drop the
// oldest, so the last one arrives.
var lastPacket = []byte("the last packet of the test")

// receiveWithGaps receives until lastPacket and checks order and content.
func receiveWithGaps(t *testing.T, b *Peer, src key.NodePublic, pkts [][]byte) (lost int) {
	t.Helper()
	s := newStream(append(append([][]byte{}, pkts...), lastPacket))
	for {
		pkt, err := b.next(patience)
		if err != nil {
			t.Fatal(err)
		}
		if pkt.Src != src {
			t.Fatalf("packet from %v", pkt.Src)
		}
		n, err := s.take(pkt.Data, true)
		if err != nil {
			t.Fatal(err)
		}
		lost += n
		if string(pkt.Data) == string(lastPacket) {
			return lost + len(s.disco)
		}
	}
}

// Both directions of several pairs at once, so that some pairs share a worker
// and some do not.
func TestManyPairs(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		var wg sync.WaitGroup
		for pair := range 6 {
			a, b := ConnectPeer(t, s), ConnectPeer(t, s)
			for i, dir := range [][2]*Peer{{a, b}, {b, a}} {
				wg.Go(func() {
					pkts := makePackets(uint64(100+2*pair+i), 200, 9000)
					if err := tryTransfer(dir[0], dir[1], pkts, 8); err != nil {
						t.Errorf("pair %d, direction %d: %v", pair, i, err)
					}
				})
			}
		}
		wg.Wait()
	})
}

// Each of 40 clients sends to each other one and to itself. In round r client
// i sends to client i+r and hears from client i-r, so that no queue of any
// server overflows and nothing may be lost.
func TestAllToAll(t *testing.T) {
	const n = 40
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		peers := make([]*Peer, n)
		for i := range peers {
			peers[i] = ConnectPeer(t, s)
		}
		text := func(from, to int) []byte { return fmt.Appendf(nil, "%d to %d", from, to) }
		for r := range n {
			for i, p := range peers {
				to := (i + r) % n
				if err := p.Send(peers[to].Pub, text(i, to)); err != nil {
					t.Fatal(err)
				}
			}
			for i, p := range peers {
				from := (i - r + n) % n
				pkt, err := p.next(patience)
				if err != nil {
					t.Fatalf("round %d, client %d: %v", r, i, err)
				}
				if pkt.Src != peers[from].Pub || string(pkt.Data) != string(text(from, i)) {
					t.Fatalf("round %d, client %d: got %q from %v", r, i, pkt.Data, pkt.Src)
				}
			}
		}
	})
}

// The same all at once, 39 packets of up to 1,400 bytes to each client. relayd
// loses none. derper's queue of 32 packets may overflow, so there only what
// arrives is checked.
func TestAllToAllBurst(t *testing.T) {
	const n = 40
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		peers := make([]*Peer, n)
		index := map[key.NodePublic]int{}
		for i := range peers {
			peers[i] = ConnectPeer(t, s)
			index[peers[i].Pub] = i
		}
		pkts := makePackets(8, n*n, 1400)
		var wg sync.WaitGroup
		for i, p := range peers {
			wg.Go(func() {
				for j, to := range peers {
					if i == j {
						continue
					}
					if err := p.Send(to.Pub, pkts[i*n+j]); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				seen := map[int]bool{}
				for len(seen) < n-1 {
					limit := patience
					if v.kind == Derper {
						limit = 2 * quietTime // some may have been dropped
					}
					pkt, err := p.next(limit)
					if err != nil {
						if v.kind == Relayd {
							t.Errorf("client %d: %d of %d packets: %v", i, len(seen), n-1, err)
						}
						return
					}
					from := index[pkt.Src]
					if seen[from] || string(pkt.Data) != string(pkts[from*n+i]) {
						t.Errorf("client %d: wrong packet from client %d", i, from)
						return
					}
					seen[from] = true
				}
			})
		}
		wg.Wait()
	})
}

// A packet to the own key comes back.
func TestSendToSelf(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		a := ConnectPeer(t, s)
		transfer(t, a, a, makePackets(9, 20, derp.MaxPacketSize), 1)
	})
}

// With two nodes in a region a client that finds the first one dead uses the
// second and says so in the Ideal-Node header, which the relay counts.
func TestIdealNode(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		dead := s.Node(t)
		dead.Name, dead.DERPPort = "900x", freePort(t, s.Host)
		r := s.Region(t)
		r.Nodes = append(regionOf(dead).Nodes, r.Nodes...)
		c, pub := newRegionClient(t, r)
		runPeer(t, c, pub)
		ConnectPeer(t, s)
		s.AwaitVarz(t, map[string]float64{
			"derp_current_connections":          2,
			"derp_current_notideal_connections": 1,
		})
		c.Close()
		s.AwaitVarz(t, map[string]float64{
			"derp_current_connections":          1,
			"derp_current_notideal_connections": 0,
		})
	})
}

// A client that has read its ServerInfo is known to the whole relay: the first
// packet to it, sent at once by a client on any worker, arrives. So is one that
// has taken over its key from another connection.
func TestReachableOnceAdmitted(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		for _, c := range []struct {
			name     string
			rounds   int
			takeover bool
		}{{"new key", 200, false}, {"taken over", 200, true}} {
			t.Run(c.name, func(t *testing.T) {
				s := Start(t, v, Options{})
				lost := 0
				for i := range c.rounds {
					sender, priv := Login(t, s), key.NewNode()
					var old *Raw
					if c.takeover {
						old = LoginAs(t, s, priv)
						old.ExpectAlive(t)
					}
					fresh := LoginAs(t, s, priv)
					sender.Send(t, fresh.Pub, []byte{byte(i)})
					sender.ExpectAlive(t) // the packet has been judged
					if _, _, err := fresh.Next(quietTime); err != nil {
						lost++
					}
					for _, c := range []*Raw{sender, old, fresh} {
						if c != nil {
							c.Close()
						}
					}
				}
				if lost > 0 {
					t.Errorf("%d of %d first packets did not arrive", lost, c.rounds)
				}
			})
		}
	})
}
