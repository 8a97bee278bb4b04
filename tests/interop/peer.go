package interop

// This file wraps Tailscale's own DERP client, and holds the packet generator
// and the checker of order and content.

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

// Packet is a packet that a Peer received.
type Packet struct {
	Src  key.NodePublic
	Data []byte
}

// Peer is a stock client with a goroutine that reads all the time.
type Peer struct {
	*derphttp.Client
	Pub     key.NodePublic
	Packets chan Packet
	Gone    chan derp.PeerGoneMessage

	done chan struct{} // closed when the peer shall end
	err  error         // why reading ended; valid once Packets is closed
}

// newRegionClient returns a stock client that knows the relay only through a
// region of a DERP map.
func newRegionClient(t testing.TB, r *tailcfg.DERPRegion) (*derphttp.Client, key.NodePublic) {
	priv := key.NewNode()
	c := derphttp.NewRegionClient(priv, logger.Discard, netmon.NewStatic(),
		func() *tailcfg.DERPRegion { return r })
	t.Cleanup(func() { c.Close() })
	return c, priv.Public()
}

// newURLClient returns a stock client that knows the relay by its URL.
func newURLClient(t testing.TB, url string) (*derphttp.Client, key.NodePublic) {
	t.Helper()
	priv := key.NewNode()
	c, err := derphttp.NewClient(priv, url, logger.Discard, netmon.NewStatic())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, priv.Public()
}

// ConnectPeer returns a connected stock client of the relay: through a region
// with a pin if the relay speaks TLS, else through a plain URL.
func ConnectPeer(t testing.TB, s *Server) *Peer {
	t.Helper()
	if s.Plain {
		c, pub := newURLClient(t, s.URL("/derp"))
		return runPeer(t, c, pub)
	}
	c, pub := newRegionClient(t, s.Region(t))
	return runPeer(t, c, pub)
}

// runPeer connects a client, checks that ServerInfo is the first message that
// it sees, and starts reading.
func runPeer(t testing.TB, c *derphttp.Client, pub key.NodePublic) *Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		t.Fatalf("connect: %v", err)
	}
	m, err := c.Recv()
	if err != nil {
		t.Fatalf("first message: %v", err)
	}
	if _, ok := m.(derp.ServerInfoMessage); !ok {
		t.Fatalf("first message is %T, want ServerInfo", m)
	}
	p := &Peer{
		Client: c, Pub: pub,
		Packets: make(chan Packet, 64),
		Gone:    make(chan derp.PeerGoneMessage, 64),
		done:    make(chan struct{}),
	}
	var wg sync.WaitGroup
	wg.Go(p.read)
	t.Cleanup(func() {
		close(p.done)
		c.Close()
		wg.Wait()
	})
	return p
}

func (p *Peer) read() {
	defer close(p.Packets)
	for {
		m, err := p.Recv()
		if err != nil {
			p.err = err
			return
		}
		switch m := m.(type) {
		case derp.ReceivedPacket:
			select {
			case p.Packets <- Packet{m.Source, bytes.Clone(m.Data)}:
			case <-p.done:
				return
			}
		case derp.PeerGoneMessage:
			select {
			case p.Gone <- m:
			case <-p.done:
				return
			}
		}
	}
}

// next returns the next packet, or an error after the limit.
func (p *Peer) next(limit time.Duration) (Packet, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case pkt, ok := <-p.Packets:
		if !ok {
			return Packet{}, fmt.Errorf("reading ended: %w", p.err)
		}
		return pkt, nil
	case <-timer.C:
		return Packet{}, fmt.Errorf("no packet within %v", limit)
	}
}

// edgeSizes are the packet sizes at which something changes: nothing at all,
// one byte, one below and at the size of a disco packet, the maximum.
var edgeSizes = []int{0, 1, 61, 62, derp.MaxPacketSize - 1, derp.MaxPacketSize}

// makePackets returns n packets of 0 to max bytes, the same ones for the same
// seed; each seventh looks like a discovery packet.
func makePackets(seed uint64, n, max int) [][]byte {
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	src := rand.NewChaCha8(s)
	r := rand.New(src)
	pkts := make([][]byte, n)
	for i := range pkts {
		size := r.IntN(max + 1)
		if i < len(edgeSizes) {
			size = min(edgeSizes[i], max)
		}
		pkts[i] = make([]byte, size)
		src.Read(pkts[i])
		if i%7 == 6 {
			copy(pkts[i], discoPacket(6))
		}
	}
	return pkts
}

// stream checks the packets of one pair. Order holds per pair and kind: the
// relay keeps discovery packets in a queue of their own, so a discovery packet
// and a data packet may change places.
type stream struct {
	disco, data [][]byte
}

func newStream(pkts [][]byte) *stream {
	s := &stream{}
	for _, p := range pkts {
		if looksDisco(p) {
			s.disco = append(s.disco, p)
		} else {
			s.data = append(s.data, p)
		}
	}
	return s
}

// take checks that got is the next packet. With gaps it may also be a later
// one: those before it count as lost.
func (s *stream) take(got []byte, gaps bool) (lost int, err error) {
	q := &s.data
	if looksDisco(got) {
		q = &s.disco
	}
	for i, want := range *q {
		if bytes.Equal(got, want) {
			*q = (*q)[i+1:]
			return i, nil
		}
		if !gaps {
			return 0, fmt.Errorf("packet of %d bytes arrived, next in order is one of %d bytes", len(got), len(want))
		}
	}
	return 0, fmt.Errorf("packet of %d bytes is not one that is due", len(got))
}

// transfer sends packets from a to b, never more than window at a time on the
// way (0: no limit), and checks that all arrive, intact and in order.
func transfer(t testing.TB, a, b *Peer, pkts [][]byte, window int) {
	t.Helper()
	if err := tryTransfer(a, b, pkts, window); err != nil {
		t.Fatal(err)
	}
}

func tryTransfer(a, b *Peer, pkts [][]byte, window int) error {
	if window == 0 {
		window = len(pkts)
	}
	tokens := make(chan struct{}, window)
	stop := make(chan struct{})
	sent := make(chan error, 1)
	go func() {
		for i, p := range pkts {
			select {
			case tokens <- struct{}{}:
			case <-stop:
				return
			}
			if err := a.Send(b.Pub, p); err != nil {
				sent <- fmt.Errorf("sending packet %d: %w", i, err)
				return
			}
		}
		sent <- nil
	}()
	defer close(stop)
	s := newStream(pkts)
	for i := range pkts {
		pkt, err := b.next(patience)
		if err != nil {
			return fmt.Errorf("after %d of %d packets: %w", i, len(pkts), err)
		}
		if pkt.Src != a.Pub {
			return fmt.Errorf("packet %d comes from %v, want %v", i, pkt.Src, a.Pub)
		}
		if _, err := s.take(pkt.Data, false); err != nil {
			return fmt.Errorf("packet %d: %w", i, err)
		}
		<-tokens
	}
	return <-sent
}
