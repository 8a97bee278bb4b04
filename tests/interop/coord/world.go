package coord

// This file owns the servers: a namespace with relayd, stund and coordd, and
// the network that joins the clients to it.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Addresses in each world. The n-th client is 10.77.n.2 and fd77:0:0:n::2.
const (
	serverIP4  = "10.77.0.1"
	serverIP6  = "fd77::1"
	serverURL  = "http://" + serverIP4 + ":8080"
	serverName = "coord.campus.test" // in /etc/hosts, for TLS
	domain     = "tail.test"
)

// config says how a world differs from the usual one.
type config struct {
	args   []string            // more options of coordd
	policy string              // for -policy; "": none, all may reach all
	tls    bool                // a listener for TLS, and the URL is https
	relay  func(*world) string // starts another relay; returns its DERP map's file
	// relayURL has coordd told of the relay by -relay, not by -derp-map.
	relayURL bool
}

type world struct {
	testing.TB
	config
	dir     string // short: Unix sockets have short paths
	socket  string // of coordctl
	servers *space
	hosts   int
	coordd  *child
	log     output // of coordd, all its runs
	ca      *authority
	derpMap string // a file
}

// newNet makes the network, without servers.
func newNet(t testing.TB) *world {
	t.Helper()
	needRoot(t)
	w := &world{TB: t}
	var err error
	if w.dir, err = os.MkdirTemp("", fmt.Sprintf("coord%d-", os.Getpid())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(w.dir) })
	// The servers give up root.
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.socket = w.path("coordd.sock")
	w.servers = newSpace(t, "servers")
	w.servers.sh(t, "ip addr add "+serverIP4+"/32 dev lo\n"+
		"ip addr add "+serverIP6+"/128 dev lo nodad\n"+
		"echo 1 >/proc/sys/net/ipv4/ip_forward\n"+
		"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	return w
}

// newWorld starts relayd, stund and coordd in a network.
func newWorld(t testing.TB, c config) *world {
	t.Helper()
	w := newNet(t)
	w.config = c
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of coordd:\n%s", w.log.tail(200))
		}
	})
	if c.relay == nil {
		c.relay = startRelay
	}
	w.derpMap = c.relay(w)
	w.writePolicy(c.policy)
	if c.tls {
		w.ca = newAuthority(t)
		w.ca.issue(t, w.path("tls.crt"), w.path("tls.key"))
	}
	w.startCoordd()
	t.Cleanup(func() {
		if w.coordd != nil {
			w.coordd.endWell(t)
		}
	})
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// url is what clients log in to.
func (w *world) url() string {
	if w.tls {
		return "https://" + serverName
	}
	return serverURL
}

// startRelay starts relayd and stund; it returns the file with the DERP map.
func startRelay(w *world) string {
	w.Helper()
	file := w.path("derpmap.json")
	if err := os.MkdirAll(w.path("certs"), 0o700); err != nil {
		w.Fatal(err)
	}
	var out output
	relay := start(w, "relayd", w.servers.command(program(w, "RELAYD"),
		"-a", serverIP4+":3443", "-hostname", serverIP4,
		"-certmode", "manual", "-certdir", w.path("certs"),
		"-c", w.path("relay.key"), "-http-port", "-1",
		"-stun=false", "-stun-port", "3478", "-derp-map", file), &out)
	stund := start(w, "stund", w.servers.command(program(w, "STUND"), "-config",
		w.file("stund.conf", "listen "+serverIP4+":3478\nlisten ["+serverIP6+"]:3478\n")), &out)
	w.Cleanup(func() {
		relay.endWell(w)
		stund.endWell(w)
		if w.Failed() {
			w.Logf("log of relayd and stund:\n%s", out.tail(60))
		}
	})
	await(w, "relayd tells its DERP map", func() error {
		b, err := os.ReadFile(file)
		if err == nil && !json.Valid(b) {
			err = fmt.Errorf("no JSON yet: %q", b)
		}
		if !relay.alive() {
			w.Fatalf("relayd ended: %v\n%s", relay.err, out.String())
		}
		return err
	})
	return file
}

// writePolicy writes the file of -policy; coordd reads it at start or when
// told to.
func (w *world) writePolicy(text string) {
	w.Helper()
	if text != "" {
		writeFile(w, w.path("policy.hujson"), text)
	}
}

// setPolicy puts a policy in force while coordd runs.
func (w *world) setPolicy(text string) {
	w.Helper()
	w.writePolicy(text)
	w.ctl("policy", "reload")
}

func (w *world) coorddArgs() []string {
	args := []string{"-state", w.path("state"), "-socket", w.socket,
		"-domain", domain, "-url", w.url(),
		"-listen", serverIP4 + ":8080", "-listen", "[" + serverIP6 + "]:8080",
		"-log", "debug"}
	if w.relayURL {
		args = append(args, "-relay", w.pinnedURL())
	} else {
		args = append(args, "-derp-map", w.derpMap)
	}
	if w.policy != "" {
		args = append(args, "-policy", w.path("policy.hujson"))
	}
	if w.tls {
		args = append(args, "-listen", serverIP4+":80",
			"-tls-listen", serverIP4+":443",
			"-tls-cert", w.path("tls.crt"), "-tls-key", w.path("tls.key"))
	}
	return append(args, w.args...)
}

// startCoordd starts coordd, at first or again, and waits until it answers.
func (w *world) startCoordd() {
	w.Helper()
	w.coordd = start(w, "coordd",
		w.servers.command(program(w, "COORDD"), w.coorddArgs()...), &w.log)
	await(w, "coordd answers", func() error {
		if !w.coordd.alive() {
			w.Fatalf("coordd ended: %v", w.coordd.err)
		}
		if _, err := w.tryCtl("status"); err != nil {
			return err
		}
		_, err := w.get(serverURL + "/health")
		return err
	})
}

// stopCoordd ends it as an administrator does.
func (w *world) stopCoordd() {
	w.Helper()
	w.coordd.endWell(w)
	w.coordd = nil
}

// killCoordd ends it as a crash does.
func (w *world) killCoordd() {
	w.coordd.kill()
	w.coordd = nil
}

// pinnedURL is the relay as -relay names it.
func (w *world) pinnedURL() string {
	w.Helper()
	b, err := os.ReadFile(w.derpMap)
	if err != nil {
		w.Fatal(err)
	}
	pin := regexp.MustCompile(`sha256-raw:[0-9a-f]{64}`).Find(b)
	return fmt.Sprintf("https://%s:3443?pin=%s&stun=3478&name=north", serverIP4, pin)
}

// reloadCoordd sends SIGHUP.
func (w *world) reloadCoordd() {
	w.coordd.cmd.Process.Signal(syscall.SIGHUP)
}

// http returns a client whose connections start in the namespace.
func (s *space) http(t testing.TB) *http.Client {
	dial := func(_ context.Context, network, addr string) (c net.Conn, err error) {
		s.do(t, func() { c, err = net.DialTimeout(network, addr, patience) })
		return c, err
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   patience,
	}
}

// get reads a page from among the servers. Not status 200 is an error.
func (w *world) get(url string) (string, error) {
	w.Helper()
	res, err := w.servers.http(w).Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, b)
	}
	return string(b), err
}

// tryCtl runs coordctl and returns its standard output.
func (w *world) tryCtl(args ...string) (string, error) {
	cmd := w.servers.command(program(w, "COORDCTL"),
		append([]string{"--socket", w.socket}, args...)...)
	var out, err2 bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err2
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("coordctl %s: %v: %s", strings.Join(args, " "), err, &err2)
	}
	return out.String(), nil
}

// ctl is tryCtl that must succeed.
func (w *world) ctl(args ...string) string {
	w.Helper()
	out, err := w.tryCtl(args...)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// ctlJSON runs coordctl --json and reads what it prints.
func (w *world) ctlJSON(to any, args ...string) {
	w.Helper()
	out := w.ctl(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), to); err != nil {
		w.Fatalf("coordctl %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// user makes a user.
func (w *world) user(name string) {
	w.Helper()
	w.ctl("users", "create", name)
}

// key makes a pre-authentication key of a user, who is made if need be.
func (w *world) key(user string, args ...string) string {
	w.Helper()
	if !strings.Contains(w.ctl("users", "list"), " "+user+" ") {
		w.user(user)
	}
	args = append([]string{"preauthkeys", "create", "--user", user}, args...)
	key := w.ctl(args...)
	if strings.TrimSpace(key) == "" || strings.Count(key, "\n") != 1 {
		w.Fatalf("coordctl preauthkeys create printed %q, want the key alone", key)
	}
	return strings.TrimSpace(key)
}

// node is what coordctl tells of a node (docs/api.md).
type node struct {
	ID         uint64
	Name, FQDN string
	Hostname   string
	User       string
	Tags       []string
	Addresses  []string
	MachineKey string     `json:"machine_key"`
	NodeKey    string     `json:"node_key"`
	DiscoKey   string     `json:"disco_key"`
	LastSeen   *time.Time `json:"last_seen"`
	Online     bool
	Created    time.Time
	Expiry     *time.Time
	Expired    bool
	Approved   bool
	Ephemeral  bool
	Version    string
	OS         string
	Endpoints  []string
	Relay      *int
	Routes     struct{ Advertised, Approved, Serving []string }
}

func (w *world) nodes() []node {
	w.Helper()
	var list []node
	w.ctlJSON(&list, "nodes", "list")
	return list
}

// node finds a node by name, id or address.
func (w *world) node(what string) node {
	w.Helper()
	var n node
	w.ctlJSON(&n, "nodes", "show", what)
	return n
}

// authKey is what coordctl tells of a pre-authentication key.
type authKey struct {
	ID               uint64
	Reusable, Usable bool
}

func (w *world) keys() (list []authKey) {
	w.Helper()
	w.ctlJSON(&list, "preauthkeys", "list")
	return list
}

// hasNode tells whether there is a node of this name.
func (w *world) hasNode(name string) bool {
	w.Helper()
	for _, n := range w.nodes() {
		if n.Name == name {
			return true
		}
	}
	return false
}
