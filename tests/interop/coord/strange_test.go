package coord

// Nodes with strange data, which others must not notice.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// TestHostnames: names that collide, are long, or are no names in DNS.
func TestHostnames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	key := w.key("robots", "--reusable")
	long := strings.Repeat("long", 40)
	names := []string{"robot", "robot", "Łódź Roboter №7", long, "--", "x.y.example"}
	seen := map[string]bool{}
	for i, hostname := range names {
		r := w.raw()
		q := r.withKey(key)
		q.Hostinfo.Hostname = hostname
		r.joins(q)
		all := w.nodes()
		if len(all) != i+1 {
			t.Fatalf("%d nodes, want %d", len(all), i+1)
		}
		for _, n := range all {
			if n.Hostname == hostname && !seen[n.Name] {
				seen[n.Name] = true
				if len(n.Name) > 63 || strings.Trim(n.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
					strings.HasPrefix(n.Name, "-") || strings.HasSuffix(n.Name, "-") || n.Name == "" {
					t.Errorf("%q is %q in DNS", hostname, n.Name)
				}
			}
		}
	}
	if len(seen) != len(names) {
		t.Errorf("names are %v", seen)
	}
	// A client that sees them all is well, and so is one that is called so.
	a := w.join("robot", "robots")
	a.see("all of them", func(st *ipnstate.Status) error {
		if len(st.Peer) != len(names) {
			return fmt.Errorf("it sees %d", len(st.Peer))
		}
		return nil
	})
	if n := w.node(a.ip(4)); n.Name == "robot" || n.Hostname != "robot" {
		t.Errorf("the third robot is %+v", n)
	}
	a.resolves("ahostsv4", "robot."+domain, w.node("robot").Addresses[0])
	a.run("set", "--hostname=drone")
	await(t, "the name follows the hostname", func() error {
		if n := w.node(a.ip(4)); n.Name != "drone" {
			return fmt.Errorf("it is %s", n.Name)
		}
		return nil
	})
	a.resolves("ahostsv4", "drone."+domain, a.ip(4))
}

// strange are bodies of requests, %[1]s is a node key, %[2]s an auth key.
var strange = []string{
	// Fields that nobody knows, and of another type than they should be.
	`{"Version":142,"NodeKey":"%[1]s","Auth":{"AuthKey":"%[2]s"},"New":[[[{}]]],
	  "Hostinfo":{"Hostname":"unknown","New":{"a":[1,2,3]},"OS":"\u0000\u001b[31m"}}`,
	`{"Version":142,"NodeKey":"%[1]s","Auth":{"AuthKey":"%[2]s"},
	  "Hostinfo":{"Hostname":["list"],"OS":7,"RoutableIPs":"none","Services":{"a":1}}}`,
	`{"Version":142,"NodeKey":"%[1]s","Auth":{"AuthKey":"%[2]s"},"Hostinfo":null}`,
	// Text that is none.
	"{\"Version\":142,\"NodeKey\":\"%[1]s\",\"Auth\":{\"AuthKey\":\"%[2]s\"}," +
		"\"Hostinfo\":{\"Hostname\":\"\xff\xfe\xc0\x80\",\"OS\":\"\xed\xa0\x80\"}}",
	`{"Version":142,"NodeKey":"%[1]s","Auth":{"AuthKey":"%[2]s"},
	  "Hostinfo":{"Hostname":"\ud800","OS":"</script>"}}`,
	`{"Version":142,"NodeKey":"%[1]s","Auth":{"AuthKey":"%[2]s"},
	  "Hostinfo":{"Hostname":"bad routes","RoutableIPs":["10.0.0.0/99","x","","::/0 "]}}`,
	`not even JSON`, ``, `[]`, `{}`, `{"NodeKey":""}`,
}

// TestStrange: what such nodes send is refused or taken, and another client's
// map stays whole.
func TestStrange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "robots")
	key := w.key("robots", "--reusable")
	var nodes int
	for i, body := range strange {
		r := w.raw()
		body = strings.NewReplacer("%[1]s", r.node.Public().String(), "%[2]s", key).Replace(body)
		answer, err := r.send("/machine/register", body)
		if err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		if strings.Contains(answer, `"MachineAuthorized":true`) {
			nodes++
			for _, update := range []string{`"Endpoints":["x","1.2.3.4:99999",""]`,
				`"DiscoKey":"discokey:00"`, `"Hostinfo":{"NetInfo":{"PreferredDERP":-5}}`,
				`"Endpoints":["10.0.0.1:5"],"EndpointTypes":[9],"Hostinfo":[]`} {
				r.send("/machine/map", fmt.Sprintf(`{"Version":142,"NodeKey":"%s",%s,"OmitPeers":true}`,
					r.node.Public(), update))
			}
		}
	}
	if nodes == 0 || nodes != len(w.nodes())-1 {
		t.Errorf("%d nodes were let in, coordctl knows of %d", nodes, len(w.nodes())-1)
	}
	r := w.raw()
	q := r.withKey(key)
	for i := range 1000 {
		q.Hostinfo.RoutableIPs = append(q.Hostinfo.RoutableIPs,
			netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)))
	}
	r.joins(q)
	a.see("all of them", func(st *ipnstate.Status) error {
		if len(st.Peer) != nodes+1 {
			return fmt.Errorf("it sees %d of %d", len(st.Peer), nodes+1)
		}
		return nil
	})
	b := w.join("b", "robots")
	a.awaitDirect(b)
	b.see("all of them", func(st *ipnstate.Status) error {
		if len(st.Peer) != nodes+2 {
			return fmt.Errorf("it sees %d of %d", len(st.Peer), nodes+2)
		}
		return nil
	})
}

// send posts bytes as they are.
func (r *raw) send(path, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", "https://coordd"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := r.noise.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if res.StatusCode >= 500 {
		err = errors.Join(err, fmt.Errorf("%s: %s", res.Status, b))
	}
	return string(b), err
}
