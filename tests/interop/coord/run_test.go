package coord

// The first command of the README: make run, and what it prints.

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// makeRun starts deploy/run among the servers and returns it with the
// arguments of the join command that it prints.
func (w *world) makeRun(out *output) (run *child, up []string) {
	w.Helper()
	top, err := filepath.Abs("../../..")
	if err != nil {
		w.Fatal(err)
	}
	cmd := w.servers.command(filepath.Join(top, "deploy/run"))
	cmd.Env = append(os.Environ(), "LISTEN="+serverIP4, "STATE="+w.path("state"))
	from := len(out.String())
	run = start(w, "make run", cmd, out)
	// It may have to build first.
	awaitWithin(w, 10*time.Minute, "make run is ready", func() error {
		if !run.alive() {
			w.Fatalf("it ended: %v", run.err)
		}
		if !strings.Contains(out.String()[from:], "Press Ctrl-C") {
			return errors.New("not yet")
		}
		return nil
	})
	join := regexp.MustCompile(`sudo tailscale (up --login-server \S+ --auth-key \S+)`).
		FindStringSubmatch(out.String()[from:])
	if join == nil {
		w.Fatal("it prints no command to join")
	}
	return run, strings.Fields(join[1])
}

// TestMakeRun: what it starts is all that two clients need, who join by the
// very command that it prints, and come back when it is started again.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	w := newNet(t)
	w.socket = w.path("state/coordd.sock")
	var out output
	run, up := w.makeRun(&out)
	t.Cleanup(func() {
		if run.alive() {
			run.end(syscall.SIGTERM)
		}
		if t.Failed() {
			t.Logf("make run:\n%s", out.tail(200))
		}
	})
	a, b := w.client("a"), w.client("b")
	for _, c := range []*client{a, b} {
		c.run(append(up, "--timeout=60s", "--hostname="+c.name)...)
		c.awaitState("Running")
	}
	a.awaitDirect(b)
	name := strings.TrimSuffix(w.node("b").FQDN, ".")
	a.resolves("ahostsv4", name, b.ip(4))
	a.resolves("ahostsv6", name, b.ip(6))
	a.pings(b.ip(4))
	a.pings(b.ip(6))
	a.cut()
	a.awaitRelayed(b)

	if err := run.end(syscall.SIGTERM); err != nil {
		t.Errorf("it did not end well: %v", err)
	}
	b.restartDaemon()
	run, _ = w.makeRun(&out)
	b.awaitState("Running")
	a.seeOnline("b", true)
	b.seeOnline("a", true)
	a.mend()
	a.awaitDirect(b)
}
