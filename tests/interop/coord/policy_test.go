package coord

// Who may talk to whom, and that clients obey at once.

import (
	"fmt"
	"strings"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// Teams that keep to themselves.
const apart = `{
	// Two teams of robots.
	"groups": {"group:red": ["red@"], "group:blue": ["blue@"]},
	"acls": [
		{"action": "accept", "src": ["group:red"], "dst": ["group:red:*"]},
		{"action": "accept", "src": ["group:blue"], "dst": ["group:blue:*"]},
	],
}`

// And red may reach one port of blue.
const onePort = `{
	"groups": {"group:red": ["red@"], "group:blue": ["blue@"]},
	"acls": [
		{"action": "accept", "src": ["group:red"], "dst": ["group:red:*"]},
		{"action": "accept", "src": ["group:blue"], "dst": ["group:blue:*"]},
		{"action": "accept", "proto": "tcp", "src": ["group:red"], "dst": ["group:blue:8022"]},
	],
}`

// teams makes red1, red2 and blue, each with servers on ports 8022 and 8023.
func (w *world) teams() (red1, red2, blue *client) {
	w.Helper()
	w.user("red")
	w.user("blue")
	all := w.joinAll("red", "red1", "red2")
	red1, red2, blue = all[0], all[1], w.join("blue", "blue")
	for _, c := range []*client{red1, red2, blue} {
		c.serve(w, 8022)
		c.serve(w, 8023)
	}
	return red1, red2, blue
}

// TestTeams: a team talks among itself and does not even see the other.
func TestTeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: apart})
	red1, red2, blue := w.teams()
	red1.reaches(red2, 8022)
	red2.reaches(red1, 8023)
	red1.pings(red2.ip(4))
	red1.pings(red2.ip(6))
	red1.denied(blue, 8022)
	blue.denied(red2, 8022)
	for _, version := range []int{4, 6} {
		if red1.echo(t, blue.ip(version), denied) == nil {
			t.Errorf("red pings blue, IPv%d", version)
		}
	}
	red1.seeNoPeer("blue")
	blue.see("nobody", func(st *ipnstate.Status) error {
		if len(st.Peer) != 0 {
			return fmt.Errorf("it sees %v", st.Peer)
		}
		return nil
	})
	red1.resolvesNot("blue." + domain)
}

// TestPolicyLive: a new policy counts at once for clients that run, what it
// allows and what it takes away; a bad one is refused and changes nothing.
func TestPolicyLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: apart})
	red1, red2, blue := w.teams()
	red1.reaches(red2, 8022)
	red1.seeNoPeer("blue")

	w.setPolicy(onePort)
	red1.reaches(blue, 8022)
	red1.denied(blue, 8023)
	blue.denied(red1, 8022)
	// Clients let ICMP in from where any port is open.
	red1.pings(blue.ip(4))
	if blue.echo(t, red1.ip(4), denied) == nil {
		t.Error("blue pings red")
	}
	blue.seePeer("red1", "is seen", nil)

	w.writePolicy(`{"acls": [{"action": "accept", "src": ["group:none"], "dst": ["*:*"]}]}`)
	out, err := w.tryCtl("policy", "reload")
	if err == nil || !strings.Contains(err.Error(), "line 1, column") {
		t.Errorf("a bad policy: %v %s", err, out)
	}
	w.reloadCoordd()
	red1.reaches(blue, 8022)
	red1.denied(blue, 8023)

	w.setPolicy(apart)
	red1.seeNoPeer("blue")
	blue.seeNoPeer("red1")
	red1.denied(blue, 8022)
	red1.reaches(red2, 8022)

	// The other way in: SIGHUP.
	w.writePolicy(onePort)
	w.reloadCoordd()
	red2.reaches(blue, 8022)
	blue.seePeer("red2", "is seen", nil)
}

// TestPolicyDenyAll: rules that allow nothing, and then all.
func TestPolicyDenyAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	red1, red2, blue := w.teams()
	red1.reaches(blue, 8022)
	w.ctl("policy", "set", w.file("none.hujson", `{"acls": []}`))
	red1.seeNoPeer("blue")
	red1.seeNoPeer("red2")
	red1.denied(blue, 8022)
	red1.denied(red2, 8022)
	if !strings.Contains(w.ctl("policy", "show"), `{"acls": []}`) {
		t.Errorf("policy show: %s", w.ctl("policy", "show"))
	}
	// It is kept in the database.
	w.stopCoordd()
	w.startCoordd()
	red1.denied(red2, 8022)
	w.ctl("policy", "set", w.file("all.hujson",
		`{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}`))
	red1.reaches(blue, 8022)
	blue.reaches(red2, 8023)
}

// file writes a file for coordctl.
func (w *world) file(name, text string) string {
	w.Helper()
	writeFile(w, w.path(name), text)
	return w.path(name)
}

// TestExplain: coordctl policy explain says what traffic does.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: onePort})
	red1, red2, blue := w.teams()
	red1.reaches(blue, 8022)
	all := []*client{red1, red2, blue}
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			for _, port := range []int{8022, 8023} {
				var e struct {
					Allowed bool
					Line    int
				}
				w.ctlJSON(&e, "policy", "explain", from.name, fmt.Sprintf("%s:%d", to.name, port), "--proto=tcp")
				_, err := from.connect(t, to.ip(4), port, denied)
				if e.Allowed != (err == nil) || e.Allowed != (e.Line > 0) {
					t.Errorf("%s to %s port %d: explained as %+v, but: %v",
						from.name, to.name, port, e, err)
				}
			}
		}
	}
	if out := w.ctl("policy", "explain", "red1", "blue:8022"); !strings.Contains(out, "line 6") {
		t.Errorf("it does not name line 6: %s", out)
	}
}

// TestSelf: each user reaches his own devices and nothing else.
func TestSelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: `{
		"acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:8022"]}],
	}`})
	red1, red2, blue := w.teams()
	red1.reaches(red2, 8022)
	red2.reaches(red1, 8022)
	red1.denied(red2, 8023)
	red1.denied(blue, 8022)
	red1.seeNoPeer("blue")
	// It follows the owner.
	w.ctl("nodes", "move", "red2", "--user", "blue")
	blue.reaches(red2, 8022)
	red1.seeNoPeer("red2")
	red1.denied(red2, 8022)
}

// TestPolicyTests: tests in the file refuse a policy that breaks them.
func TestPolicyTests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{policy: onePort})
	red1, _, blue := w.teams()
	red1.reaches(blue, 8022)
	broken := strings.Replace(onePort, `"acls": [`,
		`"tests": [{"src": "red@", "deny": ["blue@:8022"]}], "acls": [`, 1)
	if _, err := w.tryCtl("policy", "check", w.file("broken.hujson", broken)); err == nil {
		t.Error("policy check takes it")
	}
	w.writePolicy(broken)
	if _, err := w.tryCtl("policy", "reload"); err == nil {
		t.Error("policy reload takes it")
	}
	red1.reaches(blue, 8022)
	w.setPolicy(strings.Replace(onePort, `"acls": [`,
		`"tests": [{"src": "red@", "accept": ["blue@:8022"], "deny": ["blue@:8023"]}], "acls": [`, 1))
	red1.reaches(blue, 8022)
}
