package coord

// The decisions on a request to join, each as a client makes it happen.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
)

// sameNode says that a node kept its identity.
func sameNode(t testing.TB, was, is node) {
	t.Helper()
	if was.ID != is.ID || !slices.Equal(was.Addresses, is.Addresses) ||
		was.Name != is.Name || was.MachineKey != is.MachineKey {
		t.Errorf("the node changed from %+v to %+v", was, is)
	}
}

// oneNode says how many nodes there must be.
func (w *world) oneNode() node {
	w.Helper()
	all := w.nodes()
	if len(all) != 1 {
		w.Fatalf("want one node, have %+v", all)
	}
	return all[0]
}

// TestRestart: tailscaled restarts, at its end and by kill -9, and is who it
// was, without any key.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	was := w.node("a")
	a.restartDaemon()
	a.awaitState("Running")
	a.awaitDirect(b)
	a.daemon.kill()
	a.startDaemon()
	a.awaitState("Running")
	a.awaitDirect(b)
	b.awaitDirect(a)
	is := w.node("a")
	sameNode(t, was, is)
	if is.NodeKey != was.NodeKey {
		t.Errorf("the node key changed from %s to %s", was.NodeKey, is.NodeKey)
	}
}

// TestKeyTwice: a one-time key admits one node, and that one again.
func TestKeyTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	key := w.key("robots")
	a, b := w.client("a"), w.client("b")
	a.up("--auth-key=" + key)
	b.refusedUp("--auth-key="+key, "used")
	// A container that restarts shows its key again.
	a.restartDaemon()
	a.up("--auth-key=" + key)
	w.oneNode()

	r := w.raw()
	key = w.key("robots")
	r.joins(r.withKey(key))
	r.joins(r.withKey(key))
	late := w.raw()
	if why := late.refused(late.withKey(key)); !strings.Contains(why, "used") {
		t.Errorf("refused with %q", why)
	}
}

// refusedUp runs `tailscale up` with a key; it must tell the user why not.
func (c *client) refusedUp(key, why string) {
	c.w.Helper()
	out, err := c.cli("up", "--login-server="+c.w.url(), "--hostname="+c.name,
		"--timeout=10s", key)
	if err == nil || !strings.Contains(out, why) {
		c.w.Errorf("want an error with %q; got %v: %s", why, err, out)
	}
	if st, err := c.status(); err != nil || st.BackendState == "Running" {
		c.w.Errorf("it is in: %+v %v", st, err)
	}
}

// TestBadKeys: unknown, expired and revoked keys are refused with a reason.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.client("a")
	a.refusedUp("--auth-key=nonsense", "key")

	key := w.key("robots", "--expiration=1s")
	awaitTrue(t, "its time is over", func() bool { return !w.keys()[0].Usable })
	w.client("b").refusedUp("--auth-key="+key, "expired")

	key = w.key("robots", "--reusable")
	r := w.raw()
	r.joins(r.withKey(key))
	for _, k := range w.keys() {
		if k.Reusable {
			w.ctl("preauthkeys", "expire", fmt.Sprint(k.ID))
		}
	}
	late := w.raw()
	late.refused(late.withKey(key))
	r.joins(r.withKey(key)) // it is in already
	if n := len(w.nodes()); n != 1 {
		t.Errorf("there are %d nodes, want 1", n)
	}
	// The refused client gets in with a good key; at first it may still
	// tell of the other one, which it tries again by itself.
	key = w.key("robots")
	await(t, "it gets in", func() error {
		_, err := a.tryUp("--auth-key=" + key)
		return err
	})
	a.awaitState("Running")
}

// TestLogout: the node stays, expired, and comes back as the same one with a
// new node key, which its peer learns.
func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	was := w.node("a")
	a.run("logout")
	a.awaitState("NeedsLogin")
	await(t, "coordd knows of the logout", func() error {
		if n := w.node("a"); !n.Expired || n.Online {
			return fmt.Errorf("the node is %+v", n)
		}
		return nil
	})
	b.seePeer("a", "is expired or offline", func(p *ipnstate.PeerStatus) error {
		if p.Online && !p.Expired {
			return fmt.Errorf("online %v, expired %v", p.Online, p.Expired)
		}
		return nil
	})
	a.up("--auth-key=" + w.key("robots"))
	is := w.node("a")
	sameNode(t, was, is)
	if is.NodeKey == was.NodeKey {
		t.Error("the node key is the old one")
	}
	b.awaitDirect(a)
	b.pings(a.ip(4))
}

// TestEphemeral: nodes of an ephemeral key vanish when they log out, and some
// time after they died; one that comes back in time stays.
func TestEphemeral(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-ephemeral-timeout", "15s", "-offline-grace", "1s"}})
	key := w.key("robots", "--reusable", "--ephemeral")
	b := w.join("b", "robots")
	var all []*client
	for _, name := range []string{"bye", "dead", "back"} {
		c := w.client(name)
		c.up("--auth-key=" + key)
		b.seeOnline(name, true)
		all = append(all, c)
	}
	all[2].daemon.kill()
	b.seeOnline("back", false)
	all[2].startDaemon()
	all[2].awaitState("Running")
	b.seeOnline("back", true)

	all[0].run("logout")
	b.seeNoPeer("bye")
	all[1].daemon.kill()
	b.seeNoPeer("dead")
	if w.hasNode("bye") || w.hasNode("dead") {
		t.Errorf("coordd still knows them: %+v", w.nodes())
	}
	if !w.node("back").Ephemeral || !w.node("back").Online || w.node("b").Ephemeral {
		t.Errorf("want back and b: %+v", w.nodes())
	}
	b.seeOnline("back", true)
}

// TestMemoryState: a client that keeps its state in memory asks to be
// ephemeral, whatever its key says.
func TestMemoryState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-ephemeral-timeout", "2s", "-offline-grace", "1s"}})
	a := w.host("a")
	a.args = []string{"--state=mem:"}
	a.startDaemon()
	a.up("--auth-key=" + w.key("robots"))
	if !w.node("a").Ephemeral {
		t.Errorf("it is not: %+v", w.node("a"))
	}
	a.daemon.kill()
	awaitTrue(t, "it is deleted", func() bool { return !w.hasNode("a") })
}

// TestOtherMachine: a node key that another machine has is refused, and the
// node that has it does not notice.
func TestOtherMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	key := w.key("robots", "--reusable")
	r, thief := w.raw(), w.raw()
	r.joins(r.withKey(key))
	was := w.oneNode()
	thief.node = r.node
	for what, q := range map[string]string{"none": "", "good": key} {
		if why := thief.refused(thief.withKey(q)); !strings.Contains(why, "machine") {
			t.Errorf("with auth key %s: %q", what, why)
		}
	}
	q := thief.request()
	q.Expiry = loggedOut
	if a, err := thief.tryRegister(q); err == nil && a.Error == "" {
		t.Errorf("the thief may log it out: %+v", a)
	}
	status, _, err := thief.post("/machine/map", map[string]any{
		"Version": 142, "NodeKey": r.node.Public(), "Stream": true, "Compress": "zstd"})
	if err != nil || status < 400 || status > 499 {
		t.Errorf("the thief asks for a map: status %d, %v; want 4xx", status, err)
	}
	if is := w.oneNode(); is.Expired || is.NodeKey != was.NodeKey || is.MachineKey != was.MachineKey {
		t.Errorf("the node changed from %+v to %+v", was, is)
	}
}

// TestLogoutWithKey: who logs out and shows a good auth key, too, as clients
// do, is out.
func TestLogoutWithKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	for _, kind := range []string{"--ephemeral=false", "--ephemeral"} {
		key := w.key("robots", "--reusable", kind)
		r := w.raw()
		r.joins(r.withKey(key))
		q := r.withKey(key)
		q.Expiry = loggedOut
		if a := r.register(q); a.Error != "" {
			t.Errorf("%s: %+v", kind, a)
		}
	}
	// The ephemeral one is deleted.
	if n := w.oneNode(); !n.Expired || n.Ephemeral {
		t.Errorf("the node is %+v", n)
	}
}

// TestNothing: without an auth key there is a URL; a wrong Followup gets a
// fresh one; a later expiry than granted is refused.
func TestNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-key-expiry", "2h"}})
	w.user("robots")
	r := w.raw()
	first := r.register(r.request())
	if !strings.HasPrefix(first.AuthURL, serverURL+"/register/") {
		t.Fatalf("AuthURL is %q", first.AuthURL)
	}
	q := r.request()
	q.Followup = serverURL + "/register/nothing"
	if a := r.register(q); !strings.HasPrefix(a.AuthURL, serverURL+"/register/") {
		t.Errorf("after a wrong Followup: %+v", a)
	}
	if other := w.raw(); true {
		q := other.request()
		q.Followup = first.AuthURL
		if a := other.register(q); a.AuthURL == "" || a.AuthURL == first.AuthURL {
			t.Errorf("another machine's Followup: %+v", a)
		}
	}
	r.joins(r.withKey(w.key("robots")))
	q = r.request()
	q.Expiry = time.Now().Add(24 * time.Hour)
	if why := r.refused(q); !strings.Contains(why, "exten") {
		t.Errorf("refused with %q", why)
	}
	q.Expiry = loggedOut
	if a := r.register(q); a.Error != "" || !w.oneNode().Expired {
		t.Errorf("logout: %+v, node %+v", a, w.oneNode())
	}
	if a := r.register(r.request()); !a.NodeKeyExpired {
		t.Errorf("with an expired node key and nothing else: %+v", a)
	}
}

// TestOtherUser: a machine that joins as another user is another node.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "red")
	red := w.oneNode()
	a.up("--force-reauth", "--auth-key="+w.key("blue"))
	var blue node
	await(t, "it is blue's", func() error {
		for _, n := range w.nodes() {
			if n.User == "blue" {
				blue = n
				return nil
			}
		}
		return fmt.Errorf("nodes: %+v", w.nodes())
	})
	if blue.ID == red.ID || slices.Equal(blue.Addresses, red.Addresses) {
		t.Errorf("red's node became blue's: %+v", blue)
	}
	st, err := a.status()
	if err != nil || st.Self.TailscaleIPs[0].String() != blue.Addresses[0] {
		t.Errorf("the client has %v, want %v (%v)", st.Self.TailscaleIPs, blue.Addresses, err)
	}
}

// TestRotation: to log in anew with a key gives a new node key; the peer
// learns it, and id, addresses and name stay.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	b.awaitDirect(a)
	was := w.node("a")
	a.up("--force-reauth", "--auth-key="+w.key("robots"))
	await(t, "the node key changes", func() error {
		if n := w.node("a"); n.NodeKey == was.NodeKey {
			return fmt.Errorf("it is %s", n.NodeKey)
		}
		return nil
	})
	is := w.node("a")
	sameNode(t, was, is)
	b.seePeer("a", "has the new key", func(p *ipnstate.PeerStatus) error {
		if p.PublicKey.String() != is.NodeKey {
			return fmt.Errorf("it has %v, want %s", p.PublicKey, is.NodeKey)
		}
		return nil
	})
	b.awaitDirect(a)
	b.pings(a.ip(4))
	b.pings(a.ip(6))
}
