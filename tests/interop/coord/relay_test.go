package coord

// The relay that coordd names, and who may use it.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const verifyURL = serverURL + "/verify"

// TestVerify: Tailscale's derper asks coordd whom to let in.
func TestVerify(t *testing.T) {
	t.Parallel()
	needRoot(t)
	program(t, "DERPER")
	w := newWorld(t, config{relay: startDerper})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.cut()
	a.awaitRelayed(b)
	if err := w.derp(key.NewNode()); err == nil {
		t.Error("derper lets in whom coordd does not know")
	}
	r := w.raw()
	r.joins(r.withKey(w.key("robots")))
	if err := w.derp(r.node); err != nil {
		t.Errorf("derper refuses a node: %v", err)
	}
	w.ctl("nodes", "delete", "raw")
	if err := w.derp(r.node); err == nil {
		t.Error("derper lets in a node that was deleted")
	}
}

// startDerper starts a derper that asks coordd; it writes no DERP map.
func startDerper(w *world) string {
	w.Helper()
	var out output
	relay := start(w, "derper", w.servers.command(program(w, "DERPER"),
		"-verify-client-url", verifyURL, "-verify-client-url-fail-open=false",
		"-a", serverIP4+":3443", "-hostname", serverIP4, "-certmode", "manual",
		"-certdir", w.path("certs"), "-c", w.path("relay.key"),
		"-http-port", "-1", "-stun=false"), &out)
	w.Cleanup(func() {
		relay.kill()
		if w.Failed() {
			w.Logf("log of derper:\n%s", out.tail(60))
		}
	})
	await(w, "derper answers", func() error {
		c, err := w.dial("tcp", serverIP4+":3443")
		if err == nil {
			c.Close()
		}
		return err
	})
	b, err := json.Marshal(tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{900: {
		RegionID: 900, RegionCode: "campus", RegionName: "derper",
		Nodes: []*tailcfg.DERPNode{{Name: "900a", RegionID: 900, HostName: serverIP4,
			IPv4: serverIP4, DERPPort: 3443, STUNPort: -1, InsecureForTests: true}},
	}}})
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

// derp connects to the relay with a node key: an error if it is not let in.
func (w *world) derp(k key.NodePrivate) error {
	w.Helper()
	plain, err := w.dial("tcp", serverIP4+":3443")
	if err != nil {
		return err
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(patience))
	c := tls.Client(plain, &tls.Config{InsecureSkipVerify: true})
	// Fast start: the relay begins with DERP, not with an answer.
	fmt.Fprintf(c, "GET /derp HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"+
		"Upgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n", serverIP4)
	d, err := derp.NewClient(k, c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)),
		func(string, ...any) {})
	if err != nil {
		return err
	}
	// The relay tells of itself once it has let the client in.
	_, err = d.Recv()
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

// TestRelayURL: coordd is told of the relay by a URL with its pin.
func TestRelayURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{relayURL: true})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.awaitDirect(b)
	a.cut()
	a.awaitRelayed(b)
	if out := a.run("netcheck"); !strings.Contains(out, "north") {
		t.Errorf("tailscale netcheck does not show the relay's name:\n%s", out)
	}
}

// TestRelaysReload: a relay map that changed reaches clients on SIGHUP; a bad
// one does not.
func TestRelaysReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	a := w.join("a", "robots")
	was, err := os.ReadFile(w.derpMap)
	if err != nil {
		t.Fatal(err)
	}
	seeMap := func(name string) {
		t.Helper()
		await(t, "a has the relay map of "+name, func() error {
			m, err := a.local.CurrentDERPMap(context.Background())
			if err == nil && (m.Regions[900] == nil || m.Regions[900].RegionName != name) {
				err = fmt.Errorf("it has %+v", m.Regions[900])
			}
			return err
		})
	}
	seeMap("campusnet")
	writeFile(t, w.derpMap, strings.Replace(string(was), `"campusnet"`, `"library"`, 1))
	w.reloadCoordd()
	seeMap("library")
	writeFile(t, w.derpMap, "{")
	w.reloadCoordd()
	w.ctl("nodes", "rename", "a", "b")
	a.see("its new name", func(st *ipnstate.Status) error {
		if label(st.Self.DNSName) != "b" {
			return fmt.Errorf("it is %q", st.Self.DNSName)
		}
		return nil
	})
	seeMap("library")
	a.awaitState("Running")
}

// TestDebugTS2021: Tailscale's own check of a coordinator.
func TestDebugTS2021(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{tls: true})
	a := w.host("a")
	cmd := a.command(program(t, "TAILSCALE"), "debug", "ts2021", "--host="+serverName)
	cmd.Env = []string{"SSL_CERT_FILE=" + w.caFile(), "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `whoami response: "`) {
		t.Errorf("tailscale debug ts2021: %v\n%s", err, out)
	}
}

// caFile is the private CA as clients get it.
func (w *world) caFile() string {
	return w.file("ca.pem", w.ca.pem())
}
