package coord

// Logins by hand, approval of devices, and keys whose time is over.

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tailscale.com/ipn/ipnstate"
)

// upAside runs `tailscale up`, which waits for an administrator.
func (c *client) upAside(args ...string) (ended func() (string, error)) {
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := c.tryUp(args...)
		done <- result{out, err}
	}()
	return func() (string, error) {
		r := <-done
		return r.out, r.err
	}
}

// loginID is the last part of a URL to log in.
func loginID(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// approveLogin does what the page at the URL says.
func (w *world) approveLogin(url, user string, args ...string) {
	w.Helper()
	w.ctl(append([]string{"nodes", "register", loginID(url), "--user", user}, args...)...)
}

// TestLogin: `tailscale up` without a key prints a URL, whose page tells the
// command with which an administrator lets the client in.
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	b := w.join("b", "robots")
	a := w.client("a")
	ended := a.upAside()
	url := a.awaitAuthURL()
	if !strings.HasPrefix(url, serverURL+"/register/") {
		t.Fatalf("the URL is %q", url)
	}
	page, err := w.get(url)
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`coordctl nodes register --user USER (\w+)`).FindStringSubmatch(page)
	if command == nil || command[1] != loginID(url) {
		t.Errorf("the page does not tell the command:\n%s", page)
	}
	if list := w.ctl("nodes", "logins"); !strings.Contains(list, loginID(url)) {
		t.Errorf("coordctl nodes logins:\n%s", list)
	}
	if w.hasNode("a") {
		t.Error("it is a node before it is let in")
	}
	w.approveLogin(url, "robots")
	out, err := ended()
	if err != nil || !strings.Contains(out, url) {
		t.Errorf("tailscale up: %v\n%s", err, out)
	}
	a.awaitState("Running")
	if n := w.node("a"); n.User != "robots" {
		t.Errorf("the node is %+v", n)
	}
	b.awaitDirect(a)
	if _, err := w.tryCtl("nodes", "register", loginID(url), "--user", "robots"); err == nil {
		t.Error("it can be registered twice")
	}
}

// TestLoginRestart: coordd restarts while a client waits to be let in; it shows
// another URL then, by which it gets in.
func TestLoginRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	w.user("robots")
	a := w.client("a")
	ended := a.upAside()
	first := a.awaitAuthURL()
	w.stopCoordd()
	w.startCoordd()
	a.see("another URL", func(st *ipnstate.Status) error {
		if st.AuthURL == "" || st.AuthURL == first {
			return fmt.Errorf("it is %q", st.AuthURL)
		}
		return nil
	})
	w.approveLogin(a.awaitAuthURL(), "robots")
	if out, err := ended(); err != nil {
		t.Errorf("tailscale up: %v: %s", err, out)
	}
	a.awaitState("Running")
}

// TestLoginDenied: the client is told so.
func TestLoginDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	w.user("robots")
	r := w.raw()
	url := r.register(r.request()).AuthURL
	q := r.request()
	q.Followup = url
	why := make(chan string)
	go func() {
		a, err := r.tryRegister(q)
		why <- fmt.Sprint(a.Error, err)
	}()
	// The client that waits is shown; deny it.
	awaitTrue(t, "the login waits", func() bool {
		return strings.Contains(w.ctl("nodes", "logins"), loginID(url))
	})
	w.ctl("nodes", "deny", loginID(url))
	if got := <-why; got == "<nil>" || !strings.HasSuffix(got, "<nil>") {
		t.Errorf("the client that was denied is told %q", got)
	}
	if len(w.nodes()) != 0 {
		t.Errorf("there are nodes: %+v", w.nodes())
	}
}

// TestDeviceApproval: a client with a good key stays outside until the device
// is approved, and is outside again when that is taken back.
func TestDeviceApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-approve-devices"}})
	key := w.key("robots", "--reusable")
	a, b := w.client("a"), w.client("b")
	endedA, endedB := a.upAside("--auth-key="+key), b.upAside("--auth-key="+key)
	a.awaitState("NeedsMachineAuth")
	b.awaitState("NeedsMachineAuth")
	if n := w.node("a"); n.Approved {
		t.Errorf("it is approved: %+v", n)
	}
	// Where the client sends its user.
	page, err := w.get(serverURL + "/admin")
	if err != nil || !strings.Contains(page, "coordctl nodes approve NAME") {
		t.Errorf("the page does not tell the command: %v\n%s", err, page)
	}
	w.ctl("nodes", "approve", "a")
	a.awaitState("Running")
	out, err := endedA()
	if err != nil || !strings.Contains(out, serverURL+"/admin") {
		t.Errorf("tailscale up: %v: %s", err, out)
	}
	if st, err := a.status(); err != nil || peer(st, "b") != nil {
		t.Errorf("a sees a device that is not approved: %v %v", st.Peer, err)
	}
	w.ctl("nodes", "approve", "b")
	b.awaitState("Running")
	if out, err := endedB(); err != nil {
		t.Errorf("tailscale up: %v: %s", err, out)
	}
	a.awaitDirect(b)
	a.pings(b.ip(4))

	w.ctl("nodes", "approve", "b", "--revoke")
	b.awaitState("NeedsMachineAuth")
	a.seeNoPeer("b")
	w.ctl("nodes", "approve", "b")
	b.awaitState("Running")
	a.awaitDirect(b)
}

// TestKeyExpiry: an expired key puts the client out; the extension brings it
// back without a login.
func TestKeyExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-key-expiry", "48h"}})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	was := w.node("a")
	if was.Expiry == nil || time.Until(*was.Expiry) < 47*time.Hour || time.Until(*was.Expiry) > 48*time.Hour {
		t.Errorf("the key expires at %v, want in 48 h", was.Expiry)
	}
	a.see("expiry", func(st *ipnstate.Status) error {
		if st.Self.KeyExpiry == nil || !st.Self.KeyExpiry.Equal(*was.Expiry) {
			return fmt.Errorf("it is %v, want %v", st.Self.KeyExpiry, was.Expiry)
		}
		return nil
	})
	w.ctl("nodes", "expire", "a")
	a.awaitState("NeedsLogin")
	b.seePeer("a", "is expired", func(p *ipnstate.PeerStatus) error {
		if !p.Expired {
			return fmt.Errorf("it is not: %+v", p)
		}
		return nil
	})
	if !w.node("a").Expired {
		t.Errorf("coordctl: %+v", w.node("a"))
	}
	w.ctl("nodes", "expire", "a", "--expiry", "24h")
	a.awaitState("Running")
	a.awaitDirect(b)
	b.pings(a.ip(4))
	if is := w.node("a"); is.NodeKey != was.NodeKey || is.Expired {
		t.Errorf("the node was %+v, is %+v", was, is)
	}
	// And by itself, when the time comes.
	w.ctl("nodes", "expire", "b", "--expiry", "2s")
	b.awaitState("NeedsLogin")
	a.seePeer("b", "is expired", func(p *ipnstate.PeerStatus) error {
		if !p.Expired {
			return fmt.Errorf("it is not: %+v", p)
		}
		return nil
	})
	w.ctl("nodes", "expire", "b", "--expiry", "never")
	b.awaitState("Running")
	b.awaitDirect(a)
	w.ctl("nodes", "expire", "a", "--disable")
	a.see("no expiry", func(st *ipnstate.Status) error {
		if st.Self.KeyExpiry != nil {
			return fmt.Errorf("it is %v", st.Self.KeyExpiry)
		}
		return nil
	})
}

// TestExpiredComesBack: a client whose key has expired logs in by hand; it is
// the same node with a new key.
func TestExpiredComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	was := w.node("a")
	w.ctl("nodes", "expire", "a")
	a.awaitState("NeedsLogin")
	ended := a.upAside()
	url := a.awaitAuthURL()
	w.approveLogin(url, "robots")
	if out, err := ended(); err != nil {
		t.Fatalf("tailscale up: %v: %s", err, out)
	}
	a.awaitState("Running")
	is := w.node("a")
	sameNode(t, was, is)
	if is.NodeKey == was.NodeKey || is.Expired {
		t.Errorf("the node was %+v, is %+v", was, is)
	}
	b.awaitDirect(a)
	a.pings(b.ip(4))
}
