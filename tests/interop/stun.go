package interop

// This file asks STUN servers, and starts stund.

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailscale.com/net/stun"
)

// askSTUN sends a datagram and returns the answer and the port it came from.
func askSTUN(addr string, req []byte, limit time.Duration) (answer []byte, local netip.AddrPort, err error) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return nil, local, err
	}
	defer c.Close()
	local = c.LocalAddr().(*net.UDPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	if _, err := c.Write(req); err != nil {
		return nil, local, err
	}
	c.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	return buf[:n], local, err
}

// STUNServer is a running STUN server, alone or inside a relay.
type STUNServer struct {
	name string
	addr []string // one per listener
}

// startStund starts stund with a listener on each host.
func startStund(t testing.TB, hosts ...string) STUNServer {
	t.Helper()
	path := program(t, "STUND")
	const tries = 5
	for try := 1; ; try++ {
		s := STUNServer{name: "stund"}
		var args []string
		for _, h := range hosts {
			addr := net.JoinHostPort(h, strconv.Itoa(freePort(t, h)))
			s.addr = append(s.addr, addr)
			args = append(args, "-listen", addr)
		}
		c, err := startChild(path, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		err = c.awaitReady(func() bool {
			for _, a := range s.addr {
				if !stunAnswers(a) {
					return false
				}
			}
			return true
		})
		if err == nil {
			superviseChild(t, "stund", c, true)
			return s
		}
		c.stop()
		clash := strings.Contains(strings.ToLower(c.log.String()), "address already in use")
		if !clash || try == tries {
			t.Fatalf("stund %s: %v; log:\n%s", strings.Join(args, " "), err, c.log.String())
		}
	}
}

// checkSTUN asks for the own address, several times from fresh ports, and
// checks the answer as a stock client does, and its exact size.
func checkSTUN(t testing.TB, addr string) {
	t.Helper()
	for range 20 {
		tx := stun.NewTxID()
		answer, local, err := askSTUN(addr, stun.Request(tx), patience)
		if err != nil {
			t.Fatal(err)
		}
		want := 32
		if local.Addr().Is6() {
			want = 44
		}
		if len(answer) != want {
			t.Errorf("answer of %d bytes, want %d", len(answer), want)
		}
		gotTx, got, err := stun.ParseResponse(answer)
		if err != nil {
			t.Fatalf("answer %x: %v", answer, err)
		}
		if gotTx != tx {
			t.Errorf("answer has another transaction id")
		}
		if got != local {
			t.Errorf("answer says %v, the request came from %v", got, local)
		}
	}
}
