package coord

// What an administrator does with nodes, and that the peers see it.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// TestNodeChanges: rename, move, tag and delete are seen by a peer and by the
// node itself.
func TestNodeChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: `{
		"tagOwners": {"tag:lab": ["red@"], "tag:old": []},
		"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
	}`})
	w.user("blue")
	all := w.joinAll("red", "a", "b")
	a, b := all[0], all[1]
	b.awaitDirect(a)
	was := w.node("a")

	w.ctl("nodes", "rename", "a", "gripper")
	b.seePeer("gripper", "has its new name", nil)
	b.resolves("ahostsv4", "gripper."+domain, a.ip(4))
	b.resolvesNot("a." + domain)
	a.see("its own new name", func(st *ipnstate.Status) error {
		if st.Self.DNSName != "gripper."+domain+"." {
			return fmt.Errorf("it is %q", st.Self.DNSName)
		}
		return nil
	})
	if _, err := w.tryCtl("nodes", "rename", "gripper", "b"); err == nil {
		t.Error("two nodes may have one name")
	}
	w.ctl("nodes", "rename", "gripper")
	b.seePeer("a", "has its old name", nil)

	w.ctl("nodes", "move", "a", "--user", "blue")
	b.seeOwner(a.ip(4), "blue")
	a.seeOwner(a.ip(4), "blue")
	a.seeOwner(b.ip(6), "red")
	w.ctl("users", "rename", "blue", "azure")
	b.seeOwner(a.ip(4), "azure")
	a.seeOwner(a.ip(4), "azure")
	if _, err := w.tryCtl("users", "delete", "azure"); err == nil {
		t.Error("a user with nodes can be deleted")
	}

	w.ctl("nodes", "tag", "a", "--tags", "tag:lab")
	b.seeTags("a", "tag:lab")
	w.ctl("nodes", "tag", "a", "--tags", "")
	b.seeTags("a")
	b.awaitDirect(a)
	is := w.node("a")
	sameNode(t, was, is)

	w.ctl("nodes", "delete", "a")
	b.seeNoPeer("a")
	b.resolvesNot("a." + domain)
	if _, err := w.tryCtl("nodes", "show", "a"); err == nil {
		t.Error("the node is still known")
	}
	// Addresses of the dead are not given to the next.
	c := w.join("c", "red")
	if n := w.node("c"); n.ID == was.ID || n.Addresses[0] == was.Addresses[0] {
		t.Errorf("the new node has what was another's: %+v", n)
	}
	b.awaitDirect(c)
}

// seeOwner polls until an address belongs to a node of that user.
func (c *client) seeOwner(ip, owner string) {
	c.w.Helper()
	await(c.w, fmt.Sprintf("for %s, %s belongs to %s", c.name, ip, owner), func() error {
		who, err := c.local.WhoIs(context.Background(), ip)
		if err == nil && who.UserProfile.LoginName != owner {
			err = fmt.Errorf("it belongs to %+v", who.UserProfile)
		}
		return err
	})
}

// seeTags polls until a peer, or with "" the client itself, has these tags.
func (c *client) seeTags(name string, tags ...string) {
	c.w.Helper()
	c.see(fmt.Sprintf("%s has tags %v", name, tags), func(st *ipnstate.Status) error {
		p := st.Self
		if name != "" {
			p = peer(st, name)
		}
		if p == nil {
			return fmt.Errorf("no peer %q", name)
		}
		var have []string
		if p.Tags != nil {
			have = p.Tags.AsSlice()
		}
		if !slices.Equal(have, tags) {
			return fmt.Errorf("it has %v", have)
		}
		return nil
	})
}

// TestDeletedComesBack: the client of a deleted node is told, and joins anew
// with a key.
func TestDeletedComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	b.awaitDirect(a)
	was := w.node("a")
	w.ctl("nodes", "delete", "a")
	b.seeNoPeer("a")
	a.awaitState("NeedsLogin")
	a.up("--auth-key=" + w.key("robots"))
	awaitTrue(t, "the node is back", func() bool { return w.hasNode("a") })
	if is := w.node("a"); is.ID == was.ID {
		t.Errorf("it has the id of the deleted one: %+v", is)
	}
	b.awaitDirect(a)
}

// TestTagged: a tagged key makes nodes that belong to their tags.
func TestTagged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-key-expiry", "48h"}, policy: `{
		"tagOwners": {"tag:robot": ["red@"], "tag:arm": ["tag:robot"], "tag:lab": ["blue@"]},
		"acls": [{"action": "accept", "src": ["tag:robot"], "dst": ["tag:robot:*"]},
			{"action": "accept", "src": ["red@"], "dst": ["red@:*"]}],
	}`})
	w.user("red")
	w.user("blue")
	key := w.key("red", "--reusable", "--tags=tag:robot")
	r1, r2, man := w.client("r1"), w.client("r2"), w.join("man", "red")
	r1.up("--auth-key=" + key)
	r2.up("--auth-key=" + key)
	r1.awaitDirect(r2)
	r1.seeTags("r2", "tag:robot")
	r1.seeTags("", "tag:robot")
	if n := w.node("r1"); n.Expiry != nil {
		t.Errorf("a tagged node's key expires: %+v", n)
	}
	man.see("no robots, which are not its user's", func(st *ipnstate.Status) error {
		if len(st.Peer) != 0 {
			return fmt.Errorf("it sees %v", st.Peer)
		}
		return nil
	})
	if _, err := w.tryCtl("preauthkeys", "create", "--user=red", "--tags=tag:nobody"); err == nil {
		t.Error("a key may carry a tag that the policy does not name")
	}
}

// TestAdvertiseTags: a client may ask for tags that its owner owns.
func TestAdvertiseTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: `{
		"tagOwners": {"tag:robot": ["red@"], "tag:lab": ["blue@"]},
		"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
	}`})
	w.user("blue")
	b := w.join("b", "red")
	a := w.client("a")
	a.up("--auth-key="+w.key("red"), "--advertise-tags=tag:robot")
	a.seeTags("", "tag:robot")
	b.seeTags("a", "tag:robot")
	if n := w.node("a"); !slices.Equal(n.Tags, []string{"tag:robot"}) {
		t.Errorf("coordctl: %+v", n)
	}
	c := w.client("c")
	out, err := c.cli("up", "--login-server="+w.url(), "--hostname=c", "--timeout=10s",
		"--auth-key="+w.key("red"), "--advertise-tags=tag:lab")
	if err == nil || !strings.Contains(out, "tag:lab") {
		t.Errorf("red gets blue's tag: %v %s", err, out)
	}
	if w.hasNode("c") {
		t.Errorf("the refused client is a node: %+v", w.node("c"))
	}
}

// TestTagsLater: a node that is in already asks for tags, and gives them back,
// when it logs in anew; it stays the node that it was.
func TestTagsLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: `{
		"tagOwners": {"tag:robot": ["red@"]},
		"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
	}`})
	a, b := w.join("a", "red"), w.join("b", "red")
	was := w.node("a")
	ended := a.upAside("--force-reauth", "--advertise-tags=tag:robot")
	w.approveLogin(a.awaitAuthURL(), "red")
	if out, err := ended(); err != nil {
		t.Errorf("tailscale up: %v: %s", err, out)
	}
	a.seeTags("", "tag:robot")
	b.seeTags("a", "tag:robot")
	b.awaitDirect(a)
	a.up("--force-reauth", "--advertise-tags=", "--auth-key="+w.key("red"))
	a.seeTags("")
	b.seeTags("a")
	b.awaitDirect(a)
	sameNode(t, was, w.node("a"))
}

// TestStatusAgrees: what clients and coordctl tell is the same.
func TestStatusAgrees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	b.awaitDirect(a)
	for _, c := range all {
		c.see("what coordctl tells", func(st *ipnstate.Status) error {
			for _, n := range w.nodes() {
				p := st.Self
				if n.Name != c.name {
					p = peer(st, n.Name)
				}
				if p == nil {
					return fmt.Errorf("no peer %s", n.Name)
				}
				if err := agrees(n, p, n.Name == c.name); err != nil {
					return fmt.Errorf("%s: %w", n.Name, err)
				}
			}
			return nil
		})
	}
	for _, n := range w.nodes() {
		if n.User != "robots" || n.Expired || !n.Approved || n.Relay == nil ||
			!strings.HasPrefix(n.Version, "1.102.5") || n.OS != "linux" {
			t.Errorf("coordctl tells of %s: %+v", n.Name, n)
		}
	}
	for _, word := range []string{"a", "b", "robots", a.ip(4), b.ip(4)} {
		if !strings.Contains(w.ctl("nodes", "list"), word) {
			t.Errorf("coordctl nodes list lacks %s:\n%s", word, w.ctl("nodes", "list"))
		}
	}
}

// agrees compares a node with what a client tells of it.
func agrees(n node, p *ipnstate.PeerStatus, self bool) error {
	var addresses []string
	for _, ip := range p.TailscaleIPs {
		addresses = append(addresses, ip.String())
	}
	switch {
	case n.FQDN != p.DNSName && n.FQDN+"." != p.DNSName:
		return fmt.Errorf("FQDN %q and %q", n.FQDN, p.DNSName)
	case n.NodeKey != p.PublicKey.String():
		return fmt.Errorf("key %s and %s", n.NodeKey, p.PublicKey)
	case !slices.Equal(n.Addresses, addresses):
		return fmt.Errorf("addresses %v and %v", n.Addresses, addresses)
	case n.Online != p.Online:
		return fmt.Errorf("online %v and %v", n.Online, p.Online)
	case n.Hostname != p.HostName:
		return fmt.Errorf("hostname %q and %q", n.Hostname, p.HostName)
	}
	if self {
		return nil
	}
	if p.Relay != "campus" && p.Relay == "" {
		return fmt.Errorf("no relay")
	}
	return nil
}
