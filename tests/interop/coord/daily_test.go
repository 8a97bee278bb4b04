package coord

// What people do with the client besides `up`: the rest that needs the
// coordinator's help.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// seeSelf polls until the client is that node.
func (c *client) seeSelf(n node) {
	c.w.Helper()
	c.see(fmt.Sprintf("it is node %d of %s", n.ID, n.User), func(st *ipnstate.Status) error {
		if st.BackendState != "Running" || len(st.TailscaleIPs) == 0 ||
			st.TailscaleIPs[0].String() != n.Addresses[0] ||
			st.Self.PublicKey.String() != n.NodeKey {
			return fmt.Errorf("state %s, addresses %v", st.BackendState, st.TailscaleIPs)
		}
		return nil
	})
}

// TestSwitch: one machine has a profile of each of two users, and goes from
// one to the other without a key; each is the node that it was.
func TestSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-offline-grace", "1s"}, policy: apart})
	w.user("blue")
	a, b := w.join("a", "red"), w.join("b", "red")
	b.awaitDirect(a)
	red := w.node("a")
	a.run("login", "--login-server="+w.url(), "--hostname=a", "--timeout=60s",
		"--auth-key="+w.key("blue"))
	var blue node
	await(t, "blue has a node", func() error {
		for _, n := range w.nodes() {
			if n.User == "blue" {
				blue = n
				return nil
			}
		}
		return errors.New("none")
	})
	a.seeSelf(blue)
	if blue.MachineKey != red.MachineKey || blue.ID == red.ID || blue.NodeKey == red.NodeKey {
		t.Errorf("red's node is %+v, blue's %+v", red, blue)
	}
	b.seeOnline("a", false)
	for _, name := range []string{"red", "blue"} {
		if out := a.run("switch", "--list"); !strings.Contains(out, name) {
			t.Errorf("it does not list %s:\n%s", name, out)
		}
	}
	a.run("switch", "red")
	a.seeSelf(red)
	b.seeOnline("a", true)
	b.awaitDirect(a)
	a.run("switch", "blue")
	a.seeSelf(blue)
	if n := len(w.nodes()); n != 3 {
		t.Errorf("there are %d nodes, want 3: %+v", n, w.nodes())
	}
}

// TestFile: a user sends files between his devices (Taildrop).
func TestFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	await(t, "a can send to b", func() error {
		out, err := a.cli("file", "cp", "--targets")
		if err == nil && !strings.Contains(out, b.ip(4)) {
			err = errors.New(out)
		}
		return err
	})
	a.run("file", "cp", w.file("map.txt", "here be dragons"), "b:")
	into := w.path("inbox")
	if err := os.Mkdir(into, 0o755); err != nil {
		t.Fatal(err)
	}
	await(t, "it arrives", func() error {
		if out, err := b.cli("file", "get", into); err != nil {
			return fmt.Errorf("%v %s", err, out)
		}
		got, err := os.ReadFile(filepath.Join(into, "map.txt"))
		if err == nil && string(got) != "here be dragons" {
			err = fmt.Errorf("it holds %q", got)
		}
		return err
	})
}

// TestServe: a node serves a page under its name to the others; what needs
// more of the coordinator is refused with a reason.
func TestServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	b.run("serve", "--bg", "--http=8088", "text:from b")
	await(t, "a reads it", func() error {
		q, err := http.NewRequest("GET", "http://"+b.ip(4)+":8088/", nil)
		if err != nil {
			return err
		}
		q.Host = "b." + domain
		res, err := a.http(t).Do(q)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err == nil && string(got) != "from b" {
			err = fmt.Errorf("%s: %q", res.Status, got)
		}
		return err
	})
	// What coordd does not have is refused, not hung on.
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"cert", "b." + domain}, "does not support getting TLS certs"},
		{[]string{"set", "--ssh"}, "not enabled on Tailnet"},
		{[]string{"funnel", "--bg", "8080"}, "Funnel not available"},
		{[]string{"lock", "status"}, "NOT enabled"},
	} {
		if out, err := b.cli(c.args...); !strings.Contains(out, c.says) {
			t.Errorf("tailscale %v: want %q, got %v: %s", c.args, c.says, err, out)
		}
	}
}
