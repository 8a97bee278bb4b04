// swarm.go: all simulated nodes together: who sees whom, what went wrong, whether everybody has the right map.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/types/key"
)

// watch is one change that the whole team of a node should hear of: the text is in no earlier message.
type watch struct {
	number int64
	text   []byte
	left   atomic.Int64
	last   atomic.Int64 // when it came, since epoch
	done   chan struct{}
}

type swarm struct {
	nodes []*node
	team  int // nodes per team

	truthMu sync.RWMutex // what truths point to changes with the nodes' endpoints
	truths  truths

	cancel context.CancelFunc
	lives  sync.WaitGroup

	heard           atomic.Int64 // last message of all, since epoch
	messages, bytes atomic.Int64
	watching        atomic.Pointer[watch]

	mu       sync.Mutex
	connects []time.Duration
	failures int
	sample   error // the first failure
}

// newSwarm makes n nodes in teams; keys[i] is the auth key of team i. Each node has an address of loopback of its own, as
// nodes have in reality; with one source they all come from the same.
func newSwarm(addr string, n, team int, keys []string, oneSource bool) *swarm {
	s := &swarm{team: team, truths: truths{}}
	for i := range n {
		pub, disco := key.NewNode().Public(), key.NewDisco().Public()
		t := &truth{index: i, team: i / team, key: pub.String(), relay: relay}
		x := &node{swarm: s, truth: t, machine: key.NewMachine(), pub: pub, disco: disco, auth: keys[i/team],
			name: fmt.Sprintf("robot-%05d", i), route: route{addr: addr, connected: s.noteConnect}}
		a, b := byte(i>>8), byte(i)
		if !oneSource {
			x.route.from = netip.AddrFrom4([4]byte{127, 1 + a>>7, a, b})
		}
		x.ends = []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 20, a, b}), 41641),
			netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 1, 2, 3, 14: a, 15: b}), 41641),
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, 1}), uint16(1024+i)),
		}
		t.disco, t.endpoints = digest([]string{disco.String()}), digestEnds(x.ends)
		s.truths[t.key] = t
		s.nodes = append(s.nodes, x)
	}
	return s
}

func digestEnds(ends []netip.AddrPort) uint64 {
	var v []string
	for _, e := range ends {
		v = append(v, e.String())
	}
	return digest(v)
}

// peersOf is how many others the node has to see.
func (s *swarm) peersOf(n *node) int {
	first := n.truth.team * s.team
	return min(s.team, len(s.nodes)-first) - 1
}

// start lets the nodes join; at most width of them wait for their first map at a time.
func (s *swarm) start(width int) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.guard(ctx)
	if width >= len(s.nodes) {
		for _, n := range s.nodes {
			s.lives.Go(func() { n.live(ctx) })
		}
		return
	}
	s.lives.Go(func() {
		for i, n := range s.nodes {
			s.lives.Go(func() { n.live(ctx) })
			for i >= width && !s.nodes[i-width].mapped.Load() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
	})
}

// guard is the watchdog of all streams.
func (s *swarm) guard(ctx context.Context) {
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		for _, n := range s.nodes {
			if at := n.heard.Load(); at != 0 && time.Since(epoch)-time.Duration(at) > watchdog {
				s.failure(n, fmt.Errorf("map stream: nothing for %v", watchdog))
				n.wire.Load().close()
			}
		}
	}
}

func (s *swarm) stop() {
	s.cancel()
	s.lives.Wait()
	for _, n := range s.nodes {
		if w := n.wire.Load(); w != nil {
			<-w.done
		}
	}
}

func (s *swarm) failure(n *node, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	if s.sample == nil {
		s.sample = fmt.Errorf("node %d: %w", n.truth.index, err)
	}
}

// takeFailures returns and forgets them.
func (s *swarm) takeFailures() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, sample := s.failures, s.sample
	s.failures, s.sample = 0, nil
	return n, sample
}

func (s *swarm) noteConnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connects = append(s.connects, time.Since(epoch))
}

// busiest is the largest number of connects within a second, since a moment.
func (s *swarm) busiest(since time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.connects)
	most, first := 0, 0
	for i, at := range s.connects {
		if at < since {
			first = i + 1
			continue
		}
		for s.connects[first] <= at-time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// look takes note if the message has the change that is waited for.
func (s *swarm) look(n *node, compressed []byte, now time.Duration) {
	w := s.watching.Load()
	if w == nil || n.seen.Load() == w.number {
		return
	}
	text, err := unzip.DecodeAll(compressed, nil)
	if err != nil || !bytes.Contains(text, w.text) {
		return
	}
	n.seen.Store(w.number)
	w.last.Store(int64(now))
	if w.left.Add(-1) == 0 {
		close(w.done)
	}
}

// each runs f for all nodes, on all cores.
func (s *swarm) each(f func(*node)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(s.nodes) {
					return
				}
				f(s.nodes[i])
			}
		})
	}
	wg.Wait()
}

// errTooLate says that a limit passed before everybody had what was right.
var errTooLate = errors.New("not everybody has the right map in time")

// settle waits until everybody's map is complete and returns when the last one's was, since epoch. What has come is
// looked at only when nothing has come for a while, or a long time has passed. dead is closed when the coordinator ends.
func (s *swarm) settle(after, limit time.Duration, dead <-chan struct{}) (time.Duration, error) {
	const quiet, long = 400 * time.Millisecond, 10 * time.Second
	looked := time.Since(epoch)
	for {
		select {
		case <-dead:
			return 0, errors.New("the coordinator has ended")
		case <-time.After(50 * time.Millisecond):
		}
		now := time.Since(epoch)
		if now-time.Duration(s.heard.Load()) < quiet && now-looked < long && now < after+limit {
			continue
		}
		if s.streams() < len(s.nodes) && now < after+limit {
			continue
		}
		looked = now
		last, err := s.judge(after)
		if err == nil || now > after+limit || !errors.Is(err, errTooLate) {
			return last, err
		}
	}
}

// streams counts the nodes that hold one.
func (s *swarm) streams() int {
	count := 0
	for _, n := range s.nodes {
		if n.heard.Load() != 0 {
			count++
		}
	}
	return count
}

// judge catches up and says since when all maps have been complete; who was complete before after counts from there.
func (s *swarm) judge(after time.Duration) (time.Duration, error) {
	s.each((*node).catchUp)
	var late, worst int
	last := after
	for _, n := range s.nodes {
		n.mu.Lock()
		full, fault := n.full, n.fault
		n.mu.Unlock()
		if fault != nil {
			return 0, fmt.Errorf("node %d: %w", n.truth.index, fault)
		}
		if full == 0 {
			late++
			worst = n.truth.index
		}
		last = max(last, full)
	}
	if late > 0 {
		return 0, fmt.Errorf("%w: %d of %d have not, such as node %d, which %s", errTooLate, late, len(s.nodes), worst,
			s.describe(worst))
	}
	return last, nil
}

func (s *swarm) describe(i int) string {
	n := s.nodes[i]
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.netmap == nil {
		return "has none"
	}
	return n.netmap.fault(s.peersOf(n))
}

// verify checks everything that every node was told, against what is true now. Who is online may come a little later.
func (s *swarm) verify(limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		s.each((*node).catchUp)
		err := s.wrong()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (s *swarm) wrong() error {
	s.truthMu.Lock()
	defer s.truthMu.Unlock()
	for _, n := range s.nodes {
		n.mu.Lock()
		err := n.fault
		if n.netmap == nil {
			err = errors.New("has no map")
		} else if fault := n.netmap.fault(s.peersOf(n)); err == nil && fault != "" {
			err = errors.New(fault)
		}
		n.mu.Unlock()
		if err != nil {
			return fmt.Errorf("node %d: %w", n.truth.index, err)
		}
	}
	return nil
}

// change gives a node another endpoint, and returns how long it took until the last of its team had it.
func (s *swarm) change(n *node, number int64, limit time.Duration) (time.Duration, error) {
	// A port of the benchmarking range that is in no message yet.
	end := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, byte(number >> 8), byte(number)}), uint16(2000+number%60_000))
	ends := slices.Clone(n.endpoints())
	ends[len(ends)-1] = end
	w := &watch{number: number, text: []byte(end.String()), done: make(chan struct{})}
	w.left.Store(int64(s.peersOf(n)))
	s.truthMu.Lock()
	n.truth.endpoints = digestEnds(ends)
	s.truthMu.Unlock()
	n.mu.Lock()
	n.ends = ends
	n.mu.Unlock()
	n.seen.Store(number) // it hears nothing of itself
	s.watching.Store(w)
	t0 := time.Since(epoch)
	if err := n.update(n.netinfo(), ends); err != nil {
		return 0, err
	}
	select {
	case <-w.done:
		return time.Duration(w.last.Load()) - t0, nil
	case <-time.After(limit):
		return 0, fmt.Errorf("change of node %d: %d others have not heard of it after %v", n.truth.index, w.left.Load(), limit)
	}
}
