package coord

// Clients that come and go, and a coordd that stops, dies and comes back.

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
)

// TestOffline: a client that died is shown as offline after the grace, with
// the time when it was last seen, and online when it is back.
func TestOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-offline-grace", "1s"}})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seeOnline("b", true)
	b.daemon.kill()
	a.seeOnline("b", false)
	a.seePeer("b", "was last seen", func(p *ipnstate.PeerStatus) error {
		if ago := time.Since(p.LastSeen); ago > time.Hour || ago < -time.Minute {
			return fmt.Errorf("at %v", p.LastSeen)
		}
		return nil
	})
	if n := w.node("b"); n.Online || n.LastSeen == nil {
		t.Errorf("coordctl: %+v", n)
	}
	b.startDaemon()
	b.awaitState("Running")
	a.seeOnline("b", true)
	b.seeOnline("a", true)
	b.run("down")
	a.seeOnline("b", false)
	b.run("up")
	a.seeOnline("b", true)
	a.awaitDirect(b)
}

// TestGrace: a client that restarts within the grace is never shown as
// offline.
func TestGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-offline-grace", "5m"}})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seeOnline("b", true)
	stop, watched := make(chan bool), make(chan bool)
	offline := 0
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			st, err := a.status()
			if err != nil {
				continue
			}
			if p := peer(st, "b"); p == nil || !p.Online {
				offline++
			}
		}
	}()
	for range 2 {
		b.restartDaemon()
		b.awaitState("Running")
		b.seeOnline("a", true)
	}
	b.daemon.kill()
	b.startDaemon()
	b.awaitState("Running")
	close(stop)
	<-watched
	if offline > 0 {
		t.Errorf("b was offline or gone for a in %d looks", offline)
	}
}

// TestKilled: kill -9 of coordd loses nothing; clients talk on meanwhile and
// are back by themselves once it runs again.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	b.serve(t, 8022)
	spent, fresh := w.key("robots"), w.key("robots", "--reusable", "--tags=")
	c := w.client("c")
	c.up("--auth-key=" + spent)
	w.ctl("nodes", "rename", "b", "gripper")
	w.ctl("nodes", "routes", "gripper", "--approve", "10.9.0.0/16")
	w.ctl("policy", "set", w.file("p.hujson",
		`{"acls": [{"action": "accept", "src": ["robots@"], "dst": ["robots@:8022"]}]}`))
	a.seePeer("gripper", "has its name", nil)
	users, keys, nodes := w.ctl("users", "list"), w.ctl("preauthkeys", "list"), w.nodes()

	w.killCoordd()
	a.reaches(b, 8022)
	a.awaitDirect(b)
	w.startCoordd()
	if got := w.ctl("users", "list"); got != users {
		t.Errorf("users were\n%sand are\n%s", users, got)
	}
	if got := w.ctl("preauthkeys", "list"); got != keys {
		t.Errorf("keys were\n%sand are\n%s", keys, got)
	}
	await(t, "all are online again", func() error {
		for _, n := range w.nodes() {
			if !n.Online {
				return fmt.Errorf("%s is not", n.Name)
			}
		}
		return nil
	})
	for i, n := range w.nodes() {
		sameNode(t, nodes[i], n)
		if n.NodeKey != nodes[i].NodeKey || n.DiscoKey != nodes[i].DiscoKey ||
			!slices.Equal(n.Routes.Approved, nodes[i].Routes.Approved) {
			t.Errorf("the node was %+v, is %+v", nodes[i], n)
		}
	}
	w.client("e").refusedUp("--auth-key="+spent, "used")
	d := w.client("d")
	d.up("--auth-key=" + fresh)
	a.seeOnline("d", true)
	d.reaches(b, 8022)
	d.denied(a, 8023)
}

// TestKilledAtOnce: what a client was told a moment before kill -9 is kept.
func TestKilledAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	key := w.key("robots", "--reusable")
	once := w.key("robots")
	for i := range 5 {
		r := w.raw()
		q := r.withKey(key)
		if i == 0 {
			q = r.withKey(once)
		}
		r.joins(q)
		w.killCoordd()
		w.startCoordd()
		q = r.request() // without any key
		r.joins(q)
		if n := len(w.nodes()); n != i+1 {
			t.Fatalf("%d nodes, want %d", n, i+1)
		}
	}
	w.raw().refused(w.raw().withKey(once))
}

// TestStopped: SIGTERM ends coordd with status 0 while clients hold streams;
// these come back by themselves, and so do clients that restart meanwhile.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	w.stopCoordd()
	b.restartDaemon()
	w.startCoordd()
	for _, c := range all {
		c.awaitState("Running")
	}
	a.seeOnline("b", true)
	b.seeOnline("a", true)
	b.awaitDirect(a)
	// What changes now reaches the streams that came back.
	w.ctl("nodes", "rename", "b", "gripper")
	a.seePeer("gripper", "has its name", nil)
}

// TestBackup: a backup made while coordd runs is whole, and can be put back.
func TestBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	was := w.node("a")
	w.ctl("backup", w.path("backup.db"))
	if st, err := os.Stat(w.path("backup.db")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v %v, want mode 0600", st, err)
	}
	w.ctl("verify")
	w.ctl("verify", w.path("backup.db"))
	w.ctl("nodes", "delete", "a")
	b.seeNoPeer("a")
	if _, err := w.tryCtl("restore", w.path("backup.db"), "--state", w.path("state")); err == nil {
		t.Error("a backup is put back under a coordd that runs")
	}
	w.stopCoordd()
	w.ctl("restore", w.path("backup.db"), "--state", w.path("state"))
	w.startCoordd()
	sameNode(t, was, w.node("a"))
	a.run("down")
	a.run("up")
	b.seeOnline("a", true)
	a.awaitDirect(b)
	if !strings.Contains(w.ctl("status"), "2") {
		t.Errorf("status: %s", w.ctl("status"))
	}
}
