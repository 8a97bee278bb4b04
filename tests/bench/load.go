// load.go: the loads. Each drives one fresh server, checks every byte that comes back, and returns figures by name.
// A wrong packet is an error; a slow one never is.
//
// What the generator costs is in the JSON output as generator_cpu, and how busy the rest of the machine was as
// others_cores. On a virtual machine with two cores, sending, receiving and checking one packet together cost it about
// 27 us (paced, 1200 B), 15 us (paced, 120 B), 67 us (evenly spaced: nearly all of it wake-ups) and 2 us (flood); a
// connect costs it as much as derper.

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"tailscale.com/derp"

	"campusnet/bench/proc"
)

type figures map[string]float64

// size holds what a run may be bounded by.
type size struct {
	seconds                      float64
	pairs, idle, connects, burst int
	settle                       time.Duration
}

func (z size) duration() time.Duration { return time.Duration(z.seconds * float64(time.Second)) }

const (
	warmUp    = 300 * time.Millisecond // the same load first, unmeasured: heaps grow and pages come in
	quiet     = 300 * time.Millisecond // no arrival for so long: what is missing now was dropped
	stampLen  = 16                     // sequence number and send time open the payload
	dataStart = headLen + derp.KeyLen
)

var epoch = time.Now()

// pair is one flow from tx to rx. The sender's goroutine owns frame and sent; the receiver's owns last and writes
// lat[i] before it publishes got > i.
type pair struct {
	tx, rx *client
	frame  []byte // the next packet to send, whole; only the stamp changes
	src    []byte // tx's key as it must arrive
	sent   uint64
	last   uint64
	lat    []time.Duration
	got    atomic.Uint64
	seenAt atomic.Int64 // arrival of the last packet, since epoch
}

func newPair(s *server, bytes, samples int) (*pair, error) {
	p := &pair{lat: make([]time.Duration, samples)}
	var err error
	if p.tx, err = s.dial(nil, loadBuf); err != nil {
		return nil, err
	}
	if p.rx, err = s.dial(nil, loadBuf); err != nil {
		p.tx.close()
		return nil, err
	}
	p.src = p.tx.pub.AppendTo(nil)
	p.frame = appendHead(nil, derp.FrameSendPacket, derp.KeyLen+bytes)
	p.frame = p.rx.pub.AppendTo(p.frame)
	for range bytes {
		p.frame = append(p.frame, byte(rand.Uint32())) // each pair its own content, so that a mix-up shows
	}
	return p, nil
}

func (p *pair) close() {
	p.tx.close()
	p.rx.close()
}

func (p *pair) send() error {
	p.sent++
	binary.LittleEndian.PutUint64(p.frame[dataStart:], p.sent)
	binary.LittleEndian.PutUint64(p.frame[dataStart+8:], uint64(time.Since(epoch)))
	_, err := p.tx.tls.Write(p.frame)
	return err
}

// receive takes the next packet, checks it and returns its payload. Losses are legal; changes, strangers, repeats and
// reordering within the flow are not.
func (p *pair) receive() ([]byte, error) {
	for {
		typ, b, err := p.rx.next()
		if err != nil {
			return nil, err
		}
		if typ == derp.FrameKeepAlive || typ == derp.FramePeerGone {
			continue
		}
		now := time.Since(epoch)
		if typ != derp.FrameRecvPacket || len(b) != len(p.frame)-headLen {
			return nil, fmt.Errorf("wrong frame: type %#x with %d bytes, want RecvPacket with %d", typ, len(b), len(p.frame)-headLen)
		}
		data := b[derp.KeyLen:]
		if !bytes.Equal(b[:derp.KeyLen], p.src) || !bytes.Equal(data[stampLen:], p.frame[dataStart+stampLen:]) {
			return nil, errors.New("wrong packet: its source or its content is not what was sent")
		}
		seq := binary.LittleEndian.Uint64(data)
		if seq <= p.last {
			return nil, fmt.Errorf("wrong order: packet %d came after packet %d", seq, p.last)
		}
		p.last = seq
		n := p.got.Load()
		if n < uint64(len(p.lat)) {
			p.lat[n] = now - time.Duration(binary.LittleEndian.Uint64(data[8:]))
		}
		p.seenAt.Store(int64(now))
		p.got.Store(n + 1)
		return data, nil
	}
}

// flows is a set of pairs whose receivers run.
type flows struct {
	pairs []*pair
	stop  atomic.Bool
	fault chan error // first faults of receivers and senders
	wg    sync.WaitGroup
}

func newFlows(s *server, n, bytes, samples int) (*flows, error) {
	f := &flows{fault: make(chan error, 2*n)}
	for range n {
		p, err := newPair(s, bytes, samples)
		if err != nil {
			f.close()
			return nil, err
		}
		f.pairs = append(f.pairs, p)
		f.wg.Go(func() {
			for {
				if _, err := p.receive(); err != nil {
					if !f.stop.Load() {
						f.fault <- fmt.Errorf("receiver: %w", err)
					}
					return
				}
			}
		})
	}
	return f, nil
}

func (f *flows) close() {
	f.stop.Store(true)
	for _, p := range f.pairs {
		p.close()
	}
	f.wg.Wait()
}

func (f *flows) total() (sent, got uint64) {
	for _, p := range f.pairs {
		sent += p.sent
		got += p.got.Load()
	}
	return
}

// drain waits until everything sent has arrived or nothing has for a while.
func (f *flows) drain() error {
	end := time.Now().Add(patience)
	for moved, before := time.Now(), uint64(0); ; {
		sent, got := f.total()
		if got != before {
			moved, before = time.Now(), got
		}
		select {
		case err := <-f.fault:
			return err
		default:
		}
		if got == sent || time.Since(moved) > quiet {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("packets still arrive %v after the last one was sent", patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// measure runs the load twice, briefly to warm up and then for the figures.
func (f *flows) measure(s *server, d time.Duration, load func(d time.Duration) error) (figures, error) {
	var loaded time.Duration
	phase := func(d time.Duration) error {
		for _, p := range f.pairs {
			p.tx.wire.SetDeadline(time.Now().Add(d + 2*patience))
			p.rx.wire.SetDeadline(time.Now().Add(d + 2*patience))
		}
		t0 := time.Now()
		if err := load(d); err != nil {
			return err
		}
		loaded = time.Since(t0)
		return f.drain()
	}
	if err := phase(warmUp); err != nil {
		return nil, err
	}
	sent0, got0 := f.total()
	skip := make([]uint64, len(f.pairs))
	for i, p := range f.pairs {
		skip[i] = p.got.Load()
	}
	t0 := time.Since(epoch)
	m, err := proc.Start(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := phase(d); err != nil {
		return nil, err
	}
	sent, got := f.total()
	sent, got = sent-sent0, got-got0
	if got == 0 {
		return nil, fmt.Errorf("none of %d packets arrived", sent)
	}
	srv, fig, err := readMeter(m, float64(sent))
	if err != nil {
		return nil, err
	}

	var lat []time.Duration
	var lastSeen int64
	for i, p := range f.pairs {
		n := uint64(len(p.lat))
		lat = append(lat, p.lat[min(skip[i], n):min(p.got.Load(), n)]...)
		lastSeen = max(lastSeen, p.seenAt.Load())
	}
	fig["cpu_per_sent"] = srv / float64(sent)
	fig["cpu_per_delivered"] = srv / float64(got)
	fig["sent_rate"] = float64(sent) / loaded.Seconds()
	fig["delivered_rate"] = float64(got) / (time.Duration(lastSeen) - t0).Seconds()
	fig["loss"] = 100 * (1 - float64(got)/float64(sent))
	fig.addLatency(lat)
	return fig, nil
}

func (fig figures) addLatency(lat []time.Duration) {
	if len(lat) == 0 {
		return
	}
	slices.Sort(lat)
	fig["p50"] = micros(lat[len(lat)*50/100])
	fig["p99"] = micros(lat[len(lat)*99/100])
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// paced sends at a fixed rate over all pairs in turn, one write per packet. Every tick it sends what is due, so with
// a tick of 1 ms packets come in small bursts, as they do from real senders; with 0 they are spaced evenly.
func paced(rate, bytes int, tick time.Duration) func(*server, size) (figures, error) {
	return func(s *server, z size) (figures, error) {
		samples := int(float64(rate)*(z.seconds+warmUp.Seconds()))/z.pairs + 1
		f, err := newFlows(s, z.pairs, bytes, samples)
		if err != nil {
			return nil, err
		}
		defer f.close()
		return f.measure(s, z.duration(), func(d time.Duration) error { return f.pace(rate, tick, d) })
	}
}

// pace is driven by a timerfd, as the runtime's own timers wake an idle process in steps of 1 ms only. When it wakes
// late it catches up, so the offered load holds. Packets are stamped when they are written, not when they were due:
// the generator's lateness is not the server's latency.
func (f *flows) pace(rate int, tick, d time.Duration) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	defer timer.Close()
	tick = max(tick, time.Second/time.Duration(rate))
	perTick := int(math.Round(float64(rate) * tick.Seconds()))
	every := unix.NsecToTimespec(tick.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	left := int(float64(rate) * d.Seconds())
	var b [8]byte
	for end := time.Now().Add(2*d + time.Second); left > 0 && time.Now().Before(end); {
		if _, err := timer.Read(b[:]); err != nil {
			return fmt.Errorf("timerfd: %w", err)
		}
		for range min(left, perTick*int(binary.NativeEndian.Uint64(b[:]))) {
			if err := f.pairs[left%len(f.pairs)].send(); err != nil {
				return fmt.Errorf("sender: %w", err)
			}
			left--
		}
	}
	return nil
}

// flood lets every sender write as fast as it can.
func flood(onePair bool, bytes int) func(*server, size) (figures, error) {
	return func(s *server, z size) (figures, error) {
		pairs := z.pairs
		if onePair {
			pairs = 1
		}
		f, err := newFlows(s, pairs, bytes, 0)
		if err != nil {
			return nil, err
		}
		defer f.close()
		return f.measure(s, z.duration(), func(d time.Duration) error { return f.flood(d, z.burst) })
	}
}

func (f *flows) flood(d time.Duration, burst int) error {
	var wg sync.WaitGroup
	faults := make([]error, len(f.pairs))
	for i, p := range f.pairs {
		wg.Go(func() { faults[i] = p.flood(time.Now().Add(d), burst) })
	}
	wg.Wait()
	return errors.Join(faults...)
}

func (p *pair) flood(end time.Time, burst int) error {
	for time.Now().Before(end) {
		for i := range burst {
			p.tx.wire.hold = i < burst-1
			if err := p.send(); err != nil {
				return fmt.Errorf("sender: %w", err)
			}
		}
	}
	return nil
}

// pingPong keeps one packet of 120 bytes in flight, there and back.
func pingPong(s *server, z size) (figures, error) {
	const bytes = 120
	there, err := newPair(s, bytes, 0)
	if err != nil {
		return nil, err
	}
	defer there.close()
	// The way back is the same two connections, the other way round.
	back := &pair{tx: there.rx, rx: there.tx, src: there.rx.pub.AppendTo(nil)}
	back.frame = append(there.tx.pub.AppendTo(appendHead(nil, derp.FrameSendPacket, derp.KeyLen+bytes)), there.frame[dataStart:]...)
	slices.Reverse(back.frame[dataStart:])

	for _, c := range []*client{there.tx, there.rx} {
		c.wire.SetDeadline(time.Now().Add(z.duration() + patience))
	}
	echoed := make(chan error, 1)
	go func() {
		for {
			if _, err := there.receive(); err != nil {
				echoed <- fmt.Errorf("echo: %w", err)
				return
			}
			if err := back.send(); err != nil {
				echoed <- fmt.Errorf("echo: %w", err)
				return
			}
		}
	}()
	run := func(d time.Duration) (rtt []time.Duration, err error) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			t0 := time.Now()
			if err := there.send(); err != nil {
				return nil, err
			}
			if _, err := back.receive(); err != nil {
				select { // the echo's fault is the cause, if it has one
				case cause := <-echoed:
					return nil, cause
				default:
					return nil, err
				}
			}
			rtt = append(rtt, time.Since(t0))
		}
		return rtt, nil
	}
	if _, err := run(warmUp); err != nil {
		return nil, err
	}
	m, err := proc.Start(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	rtt, err := run(z.duration())
	if err != nil {
		return nil, err
	}
	n := float64(len(rtt))
	srv, fig, err := readMeter(m, n)
	if err != nil {
		return nil, err
	}
	fig["cpu_per_trip"] = srv / n
	fig.addLatency(rtt)
	return fig, nil
}

// crowd opens n connections, four at a time. With keep they are returned, else each is closed at once.
func crowd(s *server, n int, curves []tls.CurveID, keep bool) ([]*client, error) {
	kept := make([]*client, n)
	faults := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				kept[i], faults[i] = s.dial(curves, smallBuf)
				if faults[i] != nil {
					return
				}
				if !keep {
					kept[i].close()
				}
			}
		})
	}
	wg.Wait()
	return kept, errors.Join(faults...)
}

// idle holds connections that do nothing and asks what they cost in memory.
func idle(s *server, z size) (figures, error) {
	base, err := s.settledRSS(z.settle)
	if err != nil {
		return nil, err
	}
	// A few connections first, so that code paged in by their handling is not charged to those that count.
	if _, err := crowd(s, 50, nil, false); err != nil {
		return nil, err
	}
	before, err := s.settledRSS(z.settle)
	if err != nil {
		return nil, err
	}
	conns, err := crowd(s, z.idle, nil, true)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	after, err := s.settledRSS(z.settle)
	if err != nil {
		return nil, err
	}
	for i, c := range conns {
		if err := c.ping(uint64(i)); err != nil {
			return nil, fmt.Errorf("idle connection %d of %d: %w", i+1, z.idle, err)
		}
	}
	return figures{
		"kb_per_conn": float64(after-before) / 1024 / float64(z.idle),
		"base_rss":    float64(base) / (1 << 20),
	}, nil
}

// connect opens and closes connections one after the other. curves nil offers what a stock client offers.
func connect(curves ...tls.CurveID) func(*server, size) (figures, error) {
	return func(s *server, z size) (figures, error) {
		if _, err := crowd(s, min(50, z.connects), curves, false); err != nil {
			return nil, err
		}
		m, err := proc.Start(s.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		t0 := time.Now()
		if _, err := crowd(s, z.connects, curves, false); err != nil {
			return nil, err
		}
		elapsed := time.Since(t0)
		time.Sleep(quiet) // the server's side of the last closes counts too
		n := float64(z.connects)
		srv, fig, err := readMeter(m, n)
		if err != nil {
			return nil, err
		}
		fig["cpu_per_connect"] = srv / n
		fig["connect_rate"] = n / elapsed.Seconds()
		return fig, nil
	}
}

// readMeter returns the server's time in microseconds, and as figures what tells whether it can be trusted: the
// generator's time per unit of work, and how many cores were busy with something else.
func readMeter(m proc.Meter, units float64) (float64, figures, error) {
	used, err := m.Read()
	if err != nil {
		return 0, nil, err
	}
	return micros(used.Process), figures{"generator_cpu": micros(used.Own) / units, "others_cores": used.Others}, nil
}
