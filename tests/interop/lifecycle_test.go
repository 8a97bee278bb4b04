package interop

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailscale.com/types/key"
)

// SIGTERM and SIGINT end the relay with status 0 although clients are there,
// in every state; they see their connections close.
func TestShutdown(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			s := Start(t, v, Options{HTTP: true, STUN: true})
			a, b := Login(t, s), Login(t, s)
			a.Send(t, b.Pub, []byte("hello"))
			b.ExpectPacket(t, a.Pub, []byte("hello"))
			plain := *s
			plain.Plain = true
			conns := []*Raw{a, b, greeted(t, s), Dial(t, s, nil), Dial(t, &plain, nil)}
			if err := s.child.stopBy(sig); err != nil {
				t.Errorf("%v: %v", sig, err)
			}
			checkFindings(t, v.name, s.child)
			for _, c := range conns {
				c.ExpectClosed(t, patience)
			}
		}
	})
}

// startImpatiently starts a relay and returns it with the first connection
// that its port takes.
func startImpatiently(t *testing.T, v variant, dir string) (*Server, net.Conn) {
	t.Helper()
	s := &Server{Kind: v.kind, Host: "127.0.0.1", Hostname: "127.0.0.1", Dir: dir}
	c, err := startChild(program(t, strings.ToUpper(string(v.kind))), []string{"HOME=" + dir}, s.choosePorts(t, v, Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	s.child = c
	superviseChild(t, v.name, c, true)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && c.alive(); {
		if nc, err := net.Dial("tcp", s.Addr()); err == nil {
			t.Cleanup(func() { nc.Close() })
			return s, nc
		}
	}
	t.Fatalf("the port never opened; log:\n%s", c.log.String())
	return nil, nil
}

// From the first connection that its port takes a starting relay serves all of
// them: clients that come back after a restart lose no time.
func TestFirstConnection(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir := t.TempDir()
		for range 20 {
			s, nc := startImpatiently(t, v, dir)
			c := wrap(t, s, nc, nil)
			c.login(t, s, key.NewNode())
			c.ExpectAlive(t)
			s.Stop(t)
		}
	})
}

// A relay that is told to stop while it still starts stops cleanly.
func TestStopWhileStarting(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir := t.TempDir()
		for range 20 {
			s, _ := startImpatiently(t, v, dir)
			s.Stop(t)
			if t.Failed() {
				return
			}
		}
	})
}
