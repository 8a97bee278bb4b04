package coord

// The relay that coordd names, and who may use it.

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const verifyURL = serverURL + "/verify"

// TestVerify: relays ask coordd whom to let in: Tailscale's derper, whose
// callout this is, and relayd.
func TestVerify(t *testing.T) {
	for _, name := range []string{"derper", "relayd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needRoot(t)
			path := program(t, strings.ToUpper(name))
			w := newWorld(t, config{relay: func(w *world) string {
				return w.verifyingRelay(name, path)
			}})
			all := w.joinAll("robots", "a", "b")
			a, b := all[0], all[1]
			a.cut()
			a.awaitRelayed(b)
			if err := w.derp(key.NewNode()); err == nil {
				t.Error("the relay lets in whom coordd does not know")
			}
			r := w.raw()
			r.joins(r.withKey(w.key("robots")))
			await(t, "the relay lets a node in", func() error { return w.derp(r.node) })
			w.ctl("nodes", "delete", "raw")
			if err := w.derp(r.node); err == nil {
				t.Error("the relay lets in a node that was deleted")
			}
		})
	}
}

// verifyingRelay starts a relay that asks coordd. derper writes no DERP map.
func (w *world) verifyingRelay(name, path string) string {
	w.Helper()
	args := []string{"-verify-client-url", verifyURL, "-verify-client-url-fail-open=false"}
	if name == "relayd" {
		return w.startRelay(name, path, args...)
	}
	var out output
	relay := start(w, name, w.servers.command(path, append(args,
		"-a", serverIP4+":3443", "-hostname", serverIP4, "-certmode", "manual",
		"-certdir", w.path("certs"), "-c", w.path("relay.key"),
		"-http-port", "-1", "-stun=false")...), &out)
	w.Cleanup(func() {
		relay.kill()
		if w.Failed() {
			w.Logf("log of %s:\n%s", name, out.tail(60))
		}
	})
	await(w, "derper answers", func() error {
		c, err := w.dial("tcp", serverIP4+":3443")
		if err == nil {
			c.Close()
		}
		return err
	})
	m := tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{900: {
		RegionID: 900, RegionCode: "campus", RegionName: "derper",
		Nodes: []*tailcfg.DERPNode{{Name: "900a", RegionID: 900, HostName: serverIP4,
			IPv4: serverIP4, DERPPort: 3443, STUNPort: -1, InsecureForTests: true}},
	}}}
	b, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return w.file("derper.json", string(b))
}

// dial makes a connection among the servers.
func (w *world) dial(network, at string) (c net.Conn, err error) {
	w.servers.do(w, func() { c, err = net.DialTimeout(network, at, patience) })
	return c, err
}

// derp connects to the relay with a node key; refused if it is not let in.
func (w *world) derp(k key.NodePrivate) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := derphttp.NewClient(k, "https://"+serverIP4+":3443/derp",
		func(string, ...any) {}, netmon.NewStatic())
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	c.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	c.SetURLDialer(func(_ context.Context, network, at string) (net.Conn, error) {
		return w.dial(network, at)
	})
	if err := c.Connect(ctx); err != nil {
		return err
	}
	// The relay tells of itself once it has let the client in.
	_, err = c.Recv()
	return err
}

// TestVerifyAnswers: the callout itself.
func TestVerifyAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	r := w.raw()
	r.joins(r.withKey(w.key("robots")))
	for _, ask := range []struct {
		key   key.NodePublic
		allow bool
	}{{r.node.Public(), true}, {key.NewNode().Public(), false}} {
		q, err := json.Marshal(tailcfg.DERPAdmitClientRequest{NodePublic: ask.key})
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.servers.http(t).Post(verifyURL, "application/json", strings.NewReader(string(q)))
		if err != nil {
			t.Fatal(err)
		}
		var a tailcfg.DERPAdmitClientResponse
		err = json.NewDecoder(res.Body).Decode(&a)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || a.Allow != ask.allow {
			t.Errorf("%v: %s %+v %v, want %v", ask.key, res.Status, a, err, ask.allow)
		}
	}
}

// TestNetcheck: the client finds the relay and its own address by stund.
func TestNetcheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "robots")
	await(t, "tailscale netcheck shows the relay", func() error {
		out, err := a.cli("netcheck", "--format=json")
		if err != nil {
			return err
		}
		var report struct {
			UDP           bool
			PreferredDERP int
			GlobalV4      string
			RegionLatency map[string]int64
		}
		if at := strings.IndexByte(out, '{'); at >= 0 {
			err = json.Unmarshal([]byte(out[at:]), &report)
		}
		if err != nil || !report.UDP || report.PreferredDERP != 900 ||
			!strings.HasPrefix(report.GlobalV4, "10.77.1.2:") || len(report.RegionLatency) != 1 {
			return fmt.Errorf("%v %+v: %s", err, report, out)
		}
		return nil
	})
	if out := a.run("netcheck"); !strings.Contains(out, "campus") {
		t.Errorf("tailscale netcheck does not show the relay:\n%s", out)
	}
}

// TestDebugTS2021: Tailscale's own check of a coordinator.
func TestDebugTS2021(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{tls: true})
	a := w.host("a")
	cmd := a.command(program(t, "TAILSCALE"), "debug", "ts2021", "--host="+serverName)
	cmd.Env = []string{"SSL_CERT_FILE=" + w.caFile(), "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "final underlying conn") {
		t.Errorf("tailscale debug ts2021: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// caFile is the private CA as clients get it.
func (w *world) caFile() string {
	return w.file("ca.pem", w.ca.pem())
}
