package coord

// Subnet routes and exit nodes.

import (
	"fmt"
	"slices"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// lan puts a host behind a client, with addresses A.9 and the client's A.1,
// and a default route to it; the client forwards.
func (c *client) lan(name, net4, net6 string) *space {
	c.w.Helper()
	s := newSpace(c.w, name)
	c.sh(c.w, fmt.Sprintf("ip link add lan0 type veth peer name eth0 netns %d\n"+
		"ip addr add %s.1/24 dev lan0\n"+
		"ip addr add %s::1/64 dev lan0 nodad\n"+
		"ip link set lan0 up\n"+
		"echo 1 >/proc/sys/net/ipv4/ip_forward\n"+
		"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding", s.pid(), net4, net6))
	s.sh(c.w, fmt.Sprintf("ip link set eth0 up\n"+
		"ip addr add %[1]s.9/24 dev eth0\n"+
		"ip addr add %[2]s::9/64 dev eth0 nodad\n"+
		"ip route add default via %[1]s.1\n"+
		"ip -6 route add default via %[2]s::1", net4, net6))
	return s
}

// seeRoutes polls until the peer serves these routes beside its addresses.
func (c *client) seeRoutes(name string, routes ...string) {
	c.w.Helper()
	c.seePeer(name, fmt.Sprintf("serves %v", routes), func(p *ipnstate.PeerStatus) error {
		var have []string
		if p.AllowedIPs != nil {
			for _, r := range p.AllowedIPs.All() {
				if !r.IsSingleIP() {
					have = append(have, r.String())
				}
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, routes) {
			return fmt.Errorf("it serves %v", have)
		}
		return nil
	})
}

const (
	labNet4 = "192.168.55"
	labNet6 = "fd55:1:2:3"
)

// TestSubnetRoute: what a client advertises counts once it is approved, and
// no longer when that is taken back.
func TestSubnetRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "robots", "--accept-routes")
	router := w.client("router")
	printer := router.lan("printer", labNet4, labNet6)
	printer.serve(t, 9100)
	router.up("--auth-key="+w.key("robots"),
		"--advertise-routes="+labNet4+".0/24,"+labNet6+"::/64")
	a.seePeer("router", "is there", nil)
	a.seeRoutes("router")
	n := w.node("router")
	if want := []string{labNet4 + ".0/24", labNet6 + "::/64"}; !slices.Equal(n.Routes.Advertised, want) ||
		len(n.Routes.Approved) != 0 || len(n.Routes.Serving) != 0 {
		t.Errorf("before the approval: %+v, want advertised %v", n.Routes, want)
	}
	a.deniedAt(labNet4+".9", 9100)

	w.ctl("nodes", "routes", "router", "--approve", labNet4+".0/24,"+labNet6+"::/64")
	a.seeRoutes("router", labNet4+".0/24", labNet6+"::/64")
	a.reachesAt(labNet4+".9", 9100, "printer")
	a.reachesAt(labNet6+"::9", 9100, "printer")
	a.pings(labNet4 + ".9")
	if n := w.node("router"); len(n.Routes.Serving) != 2 {
		t.Errorf("coordctl: %+v", n.Routes)
	}

	w.ctl("nodes", "routes", "router", "--approve", labNet6+"::/64")
	a.seeRoutes("router", labNet6+"::/64")
	a.deniedAt(labNet4+".9", 9100)
	a.reachesAt(labNet6+"::9", 9100, "printer")
	router.run("set", "--advertise-routes=")
	a.seeRoutes("router")
}

// TestRouters: of two routers to one subnet the first serves it; when it dies
// the other does, and goes on when the first is back.
func TestRouters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-offline-grace", "1s"}})
	a := w.join("a", "robots", "--accept-routes")
	var routers []*client
	for _, name := range []string{"r1", "r2"} {
		r := w.client(name)
		r.lan("printer at "+name, labNet4, labNet6).serve(t, 9100)
		r.up("--auth-key="+w.key("robots"), "--advertise-routes="+labNet4+".0/24")
		w.ctl("nodes", "routes", name, "--approve", labNet4+".0/24")
		routers = append(routers, r)
	}
	a.seeRoutes("r1", labNet4+".0/24")
	a.seeRoutes("r2")
	a.reachesAt(labNet4+".9", 9100, "printer at r1")
	routers[0].daemon.kill()
	a.seeRoutes("r2", labNet4+".0/24")
	a.seeRoutes("r1")
	a.reachesAt(labNet4+".9", 9100, "printer at r2")
	routers[0].startDaemon()
	a.seeOnline("r1", true)
	a.seeRoutes("r1")
	a.seeRoutes("r2", labNet4+".0/24")
	w.ctl("nodes", "delete", "r2")
	a.seeRoutes("r1", labNet4+".0/24")
	a.reachesAt(labNet4+".9", 9100, "printer at r1")
}

// Hosts outside, one network beyond that of the exit node: clients take an
// exit node's own network for no part of the internet.
const (
	outside4 = "203.0.113.9"
	outside6 = "2001:db8:9::9"
)

// TestExitNode: the way out for another client, once approved.
func TestExitNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "robots")
	exit := w.client("exit")
	outside := exit.lan("outside", "198.51.100", "2001:db8:1:2")
	outside.sh(t, "ip addr add "+outside4+"/32 dev lo\n"+
		"ip addr add "+outside6+"/128 dev lo nodad")
	exit.sh(t, "ip route add "+outside4+" via 198.51.100.9\n"+
		"ip -6 route add "+outside6+" via 2001:db8:1:2::9")
	outside.serve(t, 8080)
	exit.up("--auth-key="+w.key("robots"), "--advertise-exit-node")
	a.seePeer("exit", "is there", nil)
	if out, err := a.cli("set", "--exit-node=exit"); err == nil {
		t.Errorf("it is an exit node before it is approved: %s", out)
	}
	a.deniedAt(outside4, 8080)
	w.ctl("nodes", "routes", "exit", "--approve", "0.0.0.0/0,::/0")
	a.seeExitNode("exit")
	a.run("set", "--exit-node=exit")
	a.reachesAt(outside4, 8080, "outside")
	a.reachesAt(outside6, 8080, "outside")
	a.run("set", "--exit-node=")
	a.deniedAt(outside4, 8080)
}

// seeExitNode polls until the peer offers to be an exit node.
func (c *client) seeExitNode(name string) {
	c.w.Helper()
	c.seePeer(name, "is an exit node", func(p *ipnstate.PeerStatus) error {
		if !p.ExitNodeOption {
			return fmt.Errorf("it is not: %v", p.AllowedIPs)
		}
		return nil
	})
}

// TestAutoApprovers: routes that the policy approves for some need nobody;
// those of others still do. The policy says who reaches what is behind them.
func TestAutoApprovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: `{
		"tagOwners": {"tag:router": ["red@"]},
		"autoApprovers": {
			"routes": {"192.168.0.0/16": ["tag:router"], "fd55::/16": ["red@"]},
			"exitNode": ["tag:router"],
		},
		"acls": [
			{"action": "accept", "src": ["red@"], "dst": ["tag:router:*", "192.168.55.0/24:9100"]},
			{"action": "accept", "src": ["red@"], "dst": ["autogroup:internet:*"]},
			{"action": "accept", "src": ["blue@"], "dst": ["tag:router:22"]},
		],
	}`})
	w.user("red")
	w.user("blue")
	a := w.join("a", "red", "--accept-routes")
	other := w.join("other", "blue", "--accept-routes")
	router := w.client("router")
	printer := router.lan("printer", labNet4, labNet6)
	printer.serve(t, 9100)
	printer.serve(t, 9101)
	router.up("--auth-key="+w.key("red", "--tags=tag:router"), "--advertise-exit-node",
		"--advertise-routes="+labNet4+".0/24,"+labNet6+"::/64")
	n := w.node("router")
	if want := []string{"0.0.0.0/0", labNet4 + ".0/24", "::/0"}; !sameSet(n.Routes.Serving, want) {
		t.Errorf("it serves %v, want %v", n.Routes.Serving, want)
	}
	a.reachesAt(labNet4+".9", 9100, "printer")
	a.deniedAt(labNet4+".9", 9101)
	a.seeExitNode("router")
	// Who may not reach the subnet is not told of it.
	other.seePeer("router", "is there", func(p *ipnstate.PeerStatus) error {
		for _, r := range p.AllowedIPs.All() {
			if r.String() == labNet4+".0/24" {
				return fmt.Errorf("it is told of %v", r)
			}
		}
		return nil
	})
	other.deniedAt(labNet4+".9", 9100)
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
