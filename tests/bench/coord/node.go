// node.go: one simulated node: it joins, announces itself, holds the stream of maps, and comes back when that ends, in
// the order and with the back-off of a stock client. There is no WireGuard below it.
//
// What the stream brings is kept as it came, with its time, and taken apart later: while something is measured, the
// cores belong to the coordinator.

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const (
	maxBackoff = 30 * time.Second
	watchdog   = 120 * time.Second // a stock client's, for a stream that says nothing
	mailLimit  = 8 << 20           // of what is kept before it is taken apart after all
	maxMessage = 64 << 20
	relay      = 900 // the region that everybody is at
)

type node struct {
	swarm   *swarm
	truth   *truth
	machine key.MachinePrivate
	pub     key.NodePublic
	disco   key.DiscoPublic
	name    string
	route   route
	auth    string
	ends    []netip.AddrPort // endpoints

	// Owned by live and what it calls.
	server key.MachinePublic
	failed int // attempts in a row

	wire      atomic.Pointer[wire]
	announced atomic.Bool
	mapped    atomic.Bool  // had its first map, some time
	heard     atomic.Int64 // when the stream last said something, since epoch; 0 without a stream
	seen      atomic.Int64 // number of the last change that arrived

	mu     sync.Mutex
	mail   []letter
	kept   int // bytes in mail
	netmap *netmap
	full   time.Duration // since when the map has been complete; 0: it is not
	fault  error
}

// letter is a map message as it came. A nil text says that a new stream began.
type letter struct {
	at   time.Duration
	text []byte
}

var epoch = time.Now()

func (n *node) hostinfo() *tailcfg.Hostinfo {
	return &tailcfg.Hostinfo{
		IPNVersion: "1.102.5-t0123456789", BackendLogID: strings.Repeat("0123456789abcdef", 4), OS: "linux",
		OSVersion: "6.1.0-37-amd64", Distro: "debian", DistroVersion: "12.11", DistroCodeName: "bookworm",
		Hostname: n.name, Machine: "x86_64", GoArch: "amd64", GoArchVar: "v1", GoVersion: "go1.26.5",
	}
}

func (n *node) services() *tailcfg.Hostinfo {
	h := n.hostinfo()
	port := uint16(20_000 + n.truth.index%40_000)
	h.Services = []tailcfg.Service{{Proto: tailcfg.PeerAPI4, Port: port}, {Proto: tailcfg.PeerAPI6, Port: port},
		{Proto: tailcfg.PeerAPIDNS, Port: 1}}
	return h
}

func (n *node) netinfo() *tailcfg.Hostinfo {
	h := n.services()
	h.NetInfo = &tailcfg.NetInfo{MappingVariesByDestIP: "false", WorkingIPv6: "false", OSHasIPv6: "true",
		WorkingUDP: "true", UPnP: "false", PMP: "false", PCP: "false", PreferredDERP: relay,
		DERPLatency: map[string]float64{fmt.Sprintf("%d-v4", relay): 0.0012}, FirewallMode: "nft-default"}
	return h
}

// live is the node's goroutine.
func (n *node) live(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.join(ctx)
		if err == nil {
			break
		}
		n.pause(ctx, err)
	}
	for ctx.Err() == nil {
		n.pause(ctx, n.follow(ctx))
	}
	if w := n.wire.Load(); w != nil {
		w.close()
	}
}

// pause counts a failure and waits as a stock client does: n*n*10 ms, more or less a half of it.
func (n *node) pause(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	n.swarm.failure(n, err)
	n.failed++
	d := min(time.Duration(n.failed*n.failed)*10*time.Millisecond, maxBackoff)
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(float64(d) * (rand.Float64() + 0.5))):
	}
}

// connected is the connection that there is, or a new one.
func (n *node) connected(ctx context.Context) (*wire, error) {
	if w := n.wire.Load(); w != nil {
		select {
		case <-w.done:
		default:
			return w, nil
		}
	}
	w, err := n.route.dial(ctx, n.machine, n.server)
	if err != nil {
		return nil, err
	}
	n.wire.Store(w)
	return w, nil
}

// join fetches the coordinator's key and registers.
func (n *node) join(ctx context.Context) error {
	var err error
	if n.server.IsZero() {
		if n.server, err = n.route.fetchKey(ctx); err != nil {
			return err
		}
	}
	w, err := n.connected(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(tailcfg.RegisterRequest{Version: tailcfg.CurrentCapabilityVersion, NodeKey: n.pub,
		Auth: &tailcfg.RegisterResponseAuth{AuthKey: n.auth}, Hostinfo: n.hostinfo()})
	if err != nil {
		return err
	}
	answer, err := w.post("/machine/register", body, n.truth.key)
	if err != nil {
		return err
	}
	var res struct {
		MachineAuthorized bool
		AuthURL, Error    string
	}
	if err := json.Unmarshal(answer, &res); err != nil {
		return fmt.Errorf("register: %w: %.200s", err, answer)
	}
	if !res.MachineAuthorized || res.AuthURL != "" || res.Error != "" {
		return fmt.Errorf("register: refused: %.200s", answer)
	}
	n.failed = 0
	return nil
}

// follow holds the stream until it ends, which it always does with an error.
func (n *node) follow(ctx context.Context) error {
	w, err := n.connected(ctx)
	if err != nil {
		return err
	}
	body, err := n.mapRequest(true, n.netinfo(), n.endpoints())
	if err != nil {
		return err
	}
	n.keep(letter{at: time.Since(epoch)})
	var r mapReader
	n.heard.Store(int64(time.Since(epoch)))
	defer n.heard.Store(0)
	greeted := false
	x, err := w.start("/machine/map", body, n.truth.key, func(data []byte) {
		if err := r.write(data, n.take); err != nil {
			n.fail(err)
			w.close()
			return
		}
		if r.messages > 0 && !greeted {
			greeted = true
			n.mapped.Store(true)
			n.failed = 0
		}
	})
	if err != nil {
		return err
	}
	if n.announced.CompareAndSwap(false, true) {
		go n.announce(ctx)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-x.done:
	}
	if x.err != nil {
		return fmt.Errorf("map stream: %w", x.err)
	}
	if x.status != 200 {
		return fmt.Errorf("map stream: status %d: %.200s", x.status, x.answer)
	}
	return errors.New("map stream: ended by the coordinator")
}

// announce sends what a stock client sends after a join: one by one, and again after a failure.
func (n *node) announce(ctx context.Context) {
	steps := []func() error{
		func() error { return n.update(n.hostinfo(), nil) },
		func() error { return n.update(n.services(), nil) },
		func() error { return n.update(n.services(), n.endpoints()) },
		func() error { return n.update(n.netinfo(), n.endpoints()) },
	}
	for failed := 0; len(steps) > 0 && ctx.Err() == nil; {
		err := steps[0]()
		if err == nil {
			steps, failed = steps[1:], 0
			continue
		}
		n.swarm.failure(n, err)
		failed++
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(failed*failed) * 10 * time.Millisecond):
		}
	}
}

// update is a lite update: it changes what the coordinator knows and brings no map.
func (n *node) update(h *tailcfg.Hostinfo, ends []netip.AddrPort) error {
	w := n.wire.Load()
	body, err := n.mapRequest(false, h, ends)
	if err != nil {
		return err
	}
	_, err = w.post("/machine/map", body, n.truth.key)
	return err
}

func (n *node) mapRequest(stream bool, h *tailcfg.Hostinfo, ends []netip.AddrPort) ([]byte, error) {
	kinds := []tailcfg.EndpointType{tailcfg.EndpointLocal, tailcfg.EndpointLocal, tailcfg.EndpointSTUN}
	return json.Marshal(tailcfg.MapRequest{Version: tailcfg.CurrentCapabilityVersion, Compress: "zstd", KeepAlive: true,
		NodeKey: n.pub, DiscoKey: n.disco, Stream: stream, OmitPeers: !stream, Hostinfo: h, Endpoints: ends,
		EndpointTypes: kinds[:len(ends)]})
}

func (n *node) endpoints() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ends
}

// mapReader cuts a stream into messages: a length, little-endian, and so many bytes.
type mapReader struct {
	head     [4]byte
	nhead    int
	text     []byte
	got      int
	messages int
}

func (r *mapReader) write(data []byte, take func([]byte)) error {
	for len(data) > 0 {
		if r.nhead < len(r.head) {
			c := copy(r.head[r.nhead:], data)
			data = data[c:]
			if r.nhead += c; r.nhead < len(r.head) {
				return nil
			}
			size := binary.LittleEndian.Uint32(r.head[:])
			if size == 0 || size > maxMessage {
				return fmt.Errorf("map message of %d bytes", size)
			}
			r.text, r.got = make([]byte, size), 0
		}
		c := copy(r.text[r.got:], data)
		data = data[c:]
		if r.got += c; r.got == len(r.text) {
			r.nhead = 0
			r.messages++
			take(r.text)
		}
	}
	return nil
}

// take gets each message of the stream, on the reader's goroutine.
func (n *node) take(text []byte) {
	now := time.Since(epoch)
	n.heard.Store(int64(now))
	n.swarm.heard.Store(int64(now))
	n.swarm.messages.Add(1)
	n.swarm.bytes.Add(int64(len(text)))
	n.swarm.look(n, text, now)
	n.keep(letter{now, text})
}

func (n *node) keep(l letter) {
	n.mu.Lock()
	n.mail = append(n.mail, l)
	n.kept += len(l.text)
	full := n.kept > mailLimit
	n.mu.Unlock()
	if full {
		n.catchUp()
	}
}

// catchUp takes apart what has come.
func (n *node) catchUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swarm.truthMu.RLock()
	defer n.swarm.truthMu.RUnlock()
	for _, l := range n.mail {
		if l.text == nil {
			n.netmap = newNetmap(n.truth)
		} else if err := n.netmap.apply(l.text, n.swarm.truths); err != nil && n.fault == nil {
			n.fault = err
		}
		switch complete := n.netmap.complete(n.swarm.peersOf(n)); {
		case !complete:
			n.full = 0
		case n.full == 0:
			n.full = l.at
		}
	}
	n.mail, n.kept = nil, 0
}

func (n *node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fault == nil {
		n.fault = err
	}
}
