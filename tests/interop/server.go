// Package interop drives relayd and stund with Tailscale's own programs and
// libraries, and drives Tailscale's derper through the same cases as the
// oracle. Where relayd differs on purpose, the case says why.
//
// The programs are named by absolute paths in the environment: RELAYD, STUND,
// and, built from this module by
//
//	go build -o DIR tailscale.com/cmd/derper tailscale.com/cmd/derpprobe tailscale.com/cmd/stunc
//
// DERPER, DERPPROBE and STUNC. Without one of them the cases that need it are
// skipped; with CI set they fail. INTEROP_ONLY=relayd leaves out the oracle.
//
// This file owns the child processes: it starts them on free loopback ports,
// waits until they answer, and ends them by the process id that it started.
package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tailscale.com/net/stun"
	"tailscale.com/tailcfg"
)

// patience bounds every wait for something that must happen. It is generous,
// since sanitizer builds on a busy machine are slow; nothing waits for its end.
const patience = 20 * time.Second

// Kind is a relay implementation under test.
type Kind string

const (
	Relayd Kind = "relayd"
	Derper Kind = "derper"
)

// variant is a row of the table of servers: each case runs once per row.
type variant struct {
	name string
	kind Kind
	args []string // extra arguments of this row
}

var (
	bothServers = []variant{
		{name: "relayd", kind: Relayd},
		{name: "derper", kind: Derper},
	}
	// withWorkers has relayd once with one worker, where sender and receiver
	// share a loop, and once with two, where packets cross between loops.
	withWorkers = []variant{
		{name: "relayd", kind: Relayd, args: []string{"-workers", "1"}},
		{name: "relayd-2-workers", kind: Relayd, args: []string{"-workers", "2"}},
		{name: "derper", kind: Derper},
	}
	relaydOnly = []variant{{name: "relayd", kind: Relayd}}
)

// program returns the path of a program named by an environment variable. A
// tier that cannot run says why; in CI that is a failure.
func program(t testing.TB, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: it must be the path of the program", env)
		}
		t.Skipf("%s is not set: it must be the path of the program", env)
	}
	if !filepath.IsAbs(path) {
		t.Fatalf("%s=%q: must be an absolute path", env, path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return path
}

// forEach runs f as a parallel subtest for each row of the table. With
// INTEROP_ONLY=relayd the oracle is left out, to repeat the cases quickly
// against sanitizer builds.
func forEach(t *testing.T, table []variant, f func(t *testing.T, v variant)) {
	t.Helper()
	t.Parallel()
	only := os.Getenv("INTEROP_ONLY")
	for _, v := range table {
		if only != "" && only != string(v.kind) {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			program(t, strings.ToUpper(string(v.kind)))
			f(t, v)
		})
	}
}

// eventually polls ok until it holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !poll(patience, ok) {
		t.Fatalf("still not so after %v: %s", patience, what)
	}
}

func poll(limit time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// syncBuffer collects a child's output.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// child is a process that this package started.
type child struct {
	cmd  *exec.Cmd
	log  syncBuffer
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
	told bool          // whether stop has been called
}

func startChild(path string, env []string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(path, args...), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout = &c.log
	c.cmd.Stderr = &c.log
	// A test binary that panics runs no cleanup: do not leave children behind.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// stop ends the child: SIGTERM, then SIGKILL after a limit. It returns an
// error if the child had to be killed or did not exit with 0.
func (c *child) stop() error { return c.stopBy(syscall.SIGTERM) }

func (c *child) stopBy(sig os.Signal) error {
	c.told = true
	c.cmd.Process.Signal(sig)
	select {
	case <-c.done:
		return c.err
	case <-time.After(patience):
		c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("did not end within %v of %v", patience, sig)
	}
}

// awaitReady polls ready until it holds or the child ends.
func (c *child) awaitReady(ready func() bool) error {
	ok := poll(patience, func() bool { return !c.alive() || ready() })
	if !c.alive() {
		return fmt.Errorf("ended early: %v", c.err)
	}
	if !ok {
		return fmt.Errorf("not ready after %v", patience)
	}
	return nil
}

// superviseChild checks at the end of the test that the child lives and ends
// cleanly, and prints its log if the test failed. A sanitizer tells of its
// findings through the exit status.
func superviseChild(t testing.TB, name string, c *child, strict bool) {
	t.Helper()
	t.Cleanup(func() {
		endChild(t, name, c, strict)
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, c.log.String())
		}
	})
}

// findings are the words with which a sanitizer reports.
var findings = []string{"Sanitizer: ", "runtime error: "}

func endChild(t testing.TB, name string, c *child, strict bool) {
	t.Helper()
	again, died := c.told, !c.told && !c.alive()
	err := c.stop()
	if !strict || again {
		return
	}
	if died {
		t.Errorf("%s died during the test: %v", name, c.err)
	} else if err != nil {
		t.Errorf("%s did not end cleanly: %v", name, err)
	}
	checkFindings(t, name, c)
}

func checkFindings(t testing.TB, name string, c *child) {
	t.Helper()
	for _, word := range findings {
		if strings.Contains(c.log.String(), word) {
			t.Errorf("%s: a sanitizer has reported", name)
		}
	}
}

// ports hands out port numbers below the kernel's ephemeral range, so that no
// outgoing connection takes one between the check here and the bind by the
// child, and never the same one twice to parallel tests.
var ports = struct {
	sync.Mutex
	used map[int]bool
}{used: map[int]bool{}}

func freePort(t testing.TB, host string) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		p := 10000 + rand.IntN(22000)
		if ports.used[p] {
			continue
		}
		addr := net.JoinHostPort(host, strconv.Itoa(p))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		ports.used[p] = true
		return p
	}
	t.Fatalf("no free port on %s", host)
	return 0
}

// Options says how to start a relay.
type Options struct {
	Host     string   // listen address; default 127.0.0.1
	Hostname string   // -hostname; default Host
	Plain    bool     // plain HTTP instead of TLS
	HTTP     bool     // also the plain listener beside TLS
	STUN     bool     // also the built-in STUN server
	Dir      string   // state: key file and certificate folder; default a new folder
	Args     []string // extra arguments
	// RelaydArgs are flags that derper does not have.
	RelaydArgs []string
}

// Server is a running relay.
type Server struct {
	Kind     Kind
	Host     string
	Hostname string
	Plain    bool
	Port     int
	HTTPPort int // 0 if there is none
	STUNPort int // 0 if there is none
	Dir      string

	child *child
}

// Start starts a relay and returns once it answers on all its ports. relayd
// takes derper's flags, so there is only one way to start either.
func Start(t testing.TB, v variant, o Options) *Server {
	t.Helper()
	path := program(t, strings.ToUpper(string(v.kind)))
	s := &Server{Kind: v.kind, Host: o.Host, Hostname: o.Hostname, Plain: o.Plain, Dir: o.Dir}
	if s.Host == "" {
		s.Host = "127.0.0.1"
	}
	if s.Hostname == "" {
		s.Hostname = s.Host
	}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	const tries = 5
	for try := 1; ; try++ {
		args := s.choosePorts(t, v, o)
		c, err := startChild(path, []string{"HOME=" + s.Dir}, args...)
		if err != nil {
			t.Fatal(err)
		}
		s.child = c
		err = c.awaitReady(s.answers)
		if err == nil {
			break
		}
		c.stop()
		clash := strings.Contains(strings.ToLower(c.log.String()), "address already in use")
		if !clash || try == tries {
			t.Fatalf("%s %s: %v; log:\n%s", v.name, strings.Join(args, " "), err, c.log.String())
		}
	}
	superviseChild(t, v.name, s.child, s.Kind == Relayd)
	return s
}

func (s *Server) choosePorts(t testing.TB, v variant, o Options) []string {
	s.Port = freePort(t, s.Host)
	args := []string{
		"-a", s.Addr(),
		"-c", filepath.Join(s.Dir, "derper.key"),
		"-hostname", s.Hostname,
	}
	if !o.Plain {
		args = append(args, "-certmode", "manual", "-certdir", s.CertDir())
	}
	if o.HTTP {
		s.HTTPPort = freePort(t, s.Host)
		args = append(args, "-http-port", strconv.Itoa(s.HTTPPort))
	} else {
		args = append(args, "-http-port", "-1")
	}
	if o.STUN {
		s.STUNPort = freePort(t, s.Host)
		args = append(args, "-stun-port", strconv.Itoa(s.STUNPort))
	} else {
		args = append(args, "-stun=false")
	}
	args = append(args, o.Args...)
	args = append(args, v.args...)
	if v.kind == Relayd {
		args = append(args, o.RelaydArgs...)
	}
	return args
}

// answers reports whether each listener answers. A connect alone would say too
// little: the kernel accepts before the program does.
func (s *Server) answers() bool {
	conf := insecureTLS()
	conf.ServerName = s.Hostname
	tr := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	hc := http.Client{Transport: tr, Timeout: patience / 4}
	urls := []string{s.URL("/generate_204")}
	if s.HTTPPort != 0 {
		urls = append(urls, s.HTTPURL("/generate_204"))
	}
	for _, u := range urls {
		res, err := hc.Get(u)
		if err != nil {
			return false
		}
		res.Body.Close()
	}
	return s.STUNPort == 0 || stunAnswers(s.addrOf(s.STUNPort))
}

// stunAnswers asks a STUN server once, the way Tailscale clients ask.
func stunAnswers(addr string) bool {
	_, _, err := askSTUN(addr, stun.Request(stun.NewTxID()), 200*time.Millisecond)
	return err == nil
}

// Stop ends the relay before the test's end, with the same checks.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	endChild(t, string(s.Kind), s.child, s.Kind == Relayd)
}

// Log returns what the relay has logged so far.
func (s *Server) Log() string { return s.child.log.String() }

func (s *Server) addrOf(port int) string {
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// Addr is the address of the main listener.
func (s *Server) Addr() string { return s.addrOf(s.Port) }

// URL is the address of a page on the main listener.
func (s *Server) URL(path string) string {
	if s.Plain {
		return "http://" + s.Addr() + path
	}
	return "https://" + s.Addr() + path
}

// HTTPURL is the address of a page on the plain listener beside TLS.
func (s *Server) HTTPURL(path string) string {
	return "http://" + s.addrOf(s.HTTPPort) + path
}

// CertDir is the certificate folder.
func (s *Server) CertDir() string { return filepath.Join(s.Dir, "certs") }

var unsafeName = regexp.MustCompile(`[^a-zA-Z0-9.-]`)

// CertFile is where derper keeps the certificate of its host name.
func (s *Server) CertFile() string {
	return filepath.Join(s.CertDir(), unsafeName.ReplaceAllString(s.Hostname, "")+".crt")
}

// Leaf returns the certificate in the certificate folder.
func (s *Server) Leaf(t testing.TB) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(s.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		t.Fatalf("%s: not a PEM certificate", s.CertFile())
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", s.CertFile(), err)
	}
	return cert
}

// Pin returns the CertName with which a stock client accepts the certificate.
func (s *Server) Pin(t testing.TB) string {
	sum := sha256.Sum256(s.Leaf(t).Raw)
	return "sha256-raw:" + hex.EncodeToString(sum[:])
}

const regionID = 900

// Node describes the relay as a DERP map does: by IP address, with a pin.
func (s *Server) Node(t testing.TB) *tailcfg.DERPNode {
	t.Helper()
	n := &tailcfg.DERPNode{
		Name: "900a", RegionID: regionID, HostName: s.Hostname,
		IPv4: "none", IPv6: "none",
		DERPPort: s.Port, STUNPort: -1,
	}
	if netip.MustParseAddr(s.Host).Is4() {
		n.IPv4 = s.Host
	} else {
		n.IPv6 = s.Host
	}
	if s.STUNPort != 0 {
		n.STUNPort = s.STUNPort
	}
	if !s.Plain {
		n.CertName = s.Pin(t)
	}
	return n
}

// Region is a region of that one node.
func (s *Server) Region(t testing.TB) *tailcfg.DERPRegion { return regionOf(s.Node(t)) }

func regionOf(n *tailcfg.DERPNode) *tailcfg.DERPRegion {
	return &tailcfg.DERPRegion{
		RegionID: regionID, RegionCode: "test", RegionName: "Test",
		Nodes: []*tailcfg.DERPNode{n},
	}
}

func mapOf(n *tailcfg.DERPNode) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{regionID: regionOf(n)}}
}

// insecureTLS is for tests whose subject is not the certificate.
func insecureTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// HTTPClient returns a client that follows no redirect and uses no proxy.
func (s *Server) HTTPClient(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: insecureTLS(), MaxConnsPerHost: 1}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr,
		Timeout:   patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// runProgram runs one of Tailscale's tools to its end and returns its output.
func runProgram(t testing.TB, limit time.Duration, env []string, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return string(out), err
}
