package interop

import (
	"bytes"
	"net"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// loginSlow is Login with a fixed receive buffer, so that the relay notices
// soon that the client does not read.
func loginSlow(t *testing.T, s *Server) *Raw {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.Addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	// Not smaller: with less than a loopback segment the kernel sends by timer.
	nc.(*net.TCPConn).SetReadBuffer(256 << 10)
	c := wrap(t, s, nc, nil)
	c.login(t, s, key.NewNode())
	return c
}

// flood sends full-size packets to a client until stop is closed. The writer
// must never be held up: the relay drops, it does not pause the sender.
func flood(t *testing.T, c *Raw, dst key.NodePublic, stop <-chan struct{}) <-chan struct{} {
	ended := make(chan struct{})
	pkt := SendPacket(dst, make([]byte, derp.MaxPacketSize))
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			c.SetWriteDeadline(time.Now().Add(patience))
			if _, err := c.Write(pkt); err != nil {
				t.Errorf("the sender was held up: %v", err)
				return
			}
		}
	}()
	return ended
}

// A receiver that does not read slows down nobody else, and is closed when the
// write timeout is over.
func TestSlowReceiverKilled(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{Args: []string{"-tcp-write-timeout", "1s"}})
		slow, flooder := loginSlow(t, s), Login(t, s)
		a, b := ConnectPeer(t, s), ConnectPeer(t, s)
		s.AwaitVarz(t, map[string]float64{"derp_current_connections": 4})

		stop := make(chan struct{})
		ended := flood(t, flooder, slow.Pub, stop)
		defer func() { <-ended }()
		defer close(stop)
		for i := range 20 {
			transfer(t, a, b, makePackets(uint64(i), 10, 1400), 4)
		}
		s.AwaitVarz(t, map[string]float64{
			"derp_current_connections":    3,
			"derp_sclient_write_timeouts": 1,
		})
		slow.ExpectClosed(t, patience)
		transfer(t, a, b, makePackets(30, 10, 1400), 4)
		flooder.ExpectAlive(t)
	})
}

// A receiver that pauses for less than the write timeout stays connected. The
// oldest of its packets were dropped meanwhile, never the newest, and the
// stream is in step.
func TestSlowReceiverResumes(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		args := []string{"-tcp-write-timeout", "60s"}
		if v.kind == Relayd {
			// It drops by age as well, and then the newest can be old.
			args = append(args, "-queue-age", "60s")
		}
		s := Start(t, v, Options{Args: args})
		slow, sender := loginSlow(t, s), Login(t, s)
		a, b := ConnectPeer(t, s), ConnectPeer(t, s)

		const n = 2000
		data := func(i int) []byte {
			p := bytes.Repeat([]byte{byte(i)}, 20_000)
			p[0], p[1] = byte(i>>8), byte(i)
			return p
		}
		for i := range n {
			sender.Send(t, slow.Pub, data(i))
			if i%100 == 0 {
				transfer(t, a, b, makePackets(uint64(i), 5, 1400), 1)
			}
		}
		sender.ExpectAlive(t) // the relay has taken all

		last, got := -1, 0
		for last != n-1 {
			p := slow.Expect(t, derp.FrameRecvPacket)[derp.KeyLen:]
			i := int(p[0])<<8 | int(p[1])
			if i <= last || !bytes.Equal(p, data(i)) {
				t.Fatalf("packet %d after %d, or damaged", i, last)
			}
			last = i
			got++
		}
		if got == n {
			t.Error("nothing was dropped: the pause did not fill the queue")
		}
		slow.ExpectAlive(t)
		sender.Send(t, slow.Pub, []byte("again"))
		slow.ExpectPacket(t, sender.Pub, []byte("again"))
	})
}

// A client that vanishes without a word (reset, or cut off in the middle of a
// frame) leaves no trace and harms nobody.
func TestCutOff(t *testing.T) {
	forEach(t, withWorkers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{Plain: true})
		a, b := ConnectPeer(t, s), ConnectPeer(t, s)
		pkt := SendPacket(b.Pub, make([]byte, 5000))
		for _, cut := range []int{1, 4, 5, 20, 36, 37, 38, 5000} {
			for _, reset := range []bool{false, true} {
				c := Login(t, s)
				c.WriteAll(t, pkt[:cut])
				if reset {
					c.Conn.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			}
		}
		s.AwaitVarz(t, map[string]float64{"derp_current_connections": 2})
		transfer(t, a, b, makePackets(1, 20, 5000), 4)
	})
}
