package interop

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"
	"time"
)

// browserHeaders are those that derper puts on pages for people.
var browserHeaders = map[string]string{
	"Strict-Transport-Security": "max-age=63072000; includeSubDomains",
	"Content-Security-Policy":   "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; block-all-mixed-content; object-src 'none'",
	"X-Frame-Options":           "DENY",
	"X-Content-Type-Options":    "nosniff",
}

var noBrowserHeaders = map[string]string{
	"Strict-Transport-Security": "",
	"Content-Security-Policy":   "",
	"X-Frame-Options":           "",
}

// exchange is a request and what must come back. In header, "" means absent.
type exchange struct {
	method string
	url    string
	send   map[string]string
	status int
	header map[string]string
	body   *string // nil: anything
}

func (e exchange) check(t *testing.T, hc *http.Client) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), e.method, e.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range e.send {
		req.Header.Set(k, v)
	}
	res, err := hc.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", e.method, e.url, err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: body: %v", e.method, e.url, err)
	}
	if res.StatusCode != e.status {
		t.Errorf("%s %s %v: status %d, want %d", e.method, e.url, e.send, res.StatusCode, e.status)
	}
	for k, want := range e.header {
		if got := res.Header.Get(k); got != want {
			t.Errorf("%s %s %v: %s: %q, want %q", e.method, e.url, e.send, k, got, want)
		}
	}
	if e.body != nil && string(body) != *e.body {
		t.Errorf("%s %s: body %q, want %q", e.method, e.url, body, *e.body)
	}
}

func text(s string) *string { return &s }

// eachMode runs f against a relay that speaks TLS and against a plain one.
func eachMode(t *testing.T, f func(t *testing.T, s *Server)) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, plain := range []bool{false, true} {
			t.Run(modeName(plain), func(t *testing.T) {
				f(t, Start(t, v, Options{Plain: plain}))
			})
		}
	})
}

// The pages with which clients measure the way over HTTPS.
func TestProbePages(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		hc := s.HTTPClient(t)
		cors := map[string]string{"Access-Control-Allow-Origin": "*"}
		for _, path := range []string{"/derp/probe", "/derp/latency-check", "/derp/latency-check?x=1"} {
			for _, method := range []string{"GET", "HEAD"} {
				exchange{method, s.URL(path), nil, 200, cors, text("")}.check(t, hc)
			}
			for _, method := range []string{"POST", "PUT", "OPTIONS", "DELETE"} {
				exchange{method, s.URL(path), nil, 405, map[string]string{"Access-Control-Allow-Origin": ""}, nil}.check(t, hc)
			}
		}
	})
}

// A browser makes two requests on one connection and measures the second.
func TestKeepAliveReuse(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		hc := s.HTTPClient(t)
		for i, path := range []string{"/derp/probe", "/derp/probe", "/generate_204", "/", "/derp", "/derp/latency-check", "/robots.txt"} {
			reused := false
			// The client keeps a connection a moment after the body was read.
			kept := make(chan error, 1)
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn:     func(i httptrace.GotConnInfo) { reused = i.Reused },
				PutIdleConn: func(err error) { kept <- err },
			})
			req, err := http.NewRequestWithContext(ctx, "GET", s.URL(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			select {
			case err = <-kept:
			case <-time.After(30 * time.Second):
				err = errors.New("it was not given back")
			}
			if err != nil {
				t.Errorf("request %d, %s: the connection was not kept: %v", i, path, err)
			}
			if i > 0 && !reused {
				t.Errorf("request %d, %s: the connection was not reused", i, path)
			}
		}
	})
}

// A head may arrive in pieces, and several requests at once; after a page the
// same connection may still become a DERP connection.
func TestPipelining(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		c := Dial(t, s, nil)
		const get = "GET /derp/probe HTTP/1.1\r\nHost: relay\r\n\r\n"
		for i := range len(get) {
			c.WriteAll(t, []byte(get[i:i+1]))
		}
		c.WriteAll(t, []byte(get+get+string(head(s))))
		for i, want := range []int{200, 200, 200, 101} {
			res := c.ReadResponse(t)
			if res.StatusCode != want {
				t.Fatalf("response %d: %s, want %d", i, res.Status, want)
			}
			if want == 200 {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}
		c.ReadServerKey(t)
		c.WriteAll(t, c.ClientInfo([]byte(`{"version":2}`)))
		c.ReadServerInfo(t)
		c.ExpectAlive(t)
	})
}

// HTTP/1.0 and Connection: close end the connection after the response.
func TestConnectionClose(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		for _, req := range []string{
			"GET /derp/probe HTTP/1.0\r\n\r\n",
			"GET /derp/probe HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n",
		} {
			c := Dial(t, s, nil)
			c.WriteAll(t, []byte(req))
			if res := c.ReadResponse(t); res.StatusCode != 200 {
				t.Errorf("%q: %s", req, res.Status)
			} else {
				io.Copy(io.Discard, res.Body)
			}
			c.ExpectClosed(t, patience)
		}
	})
}

// Heads that are not HTTP are refused and harm nobody.
func TestBadHeads(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		for _, head := range []string{
			"\r\n\r\n\r\n",
			"GARBAGE\r\n\r\n",
			"GET /derp/probe\r\n\r\n",
			"GET /derp/probe HTTP/9.9\r\nHost: relay\r\n\r\n",
			"GET /derp/probe HTTP/1.1\r\nno colon\r\n\r\n",
			"GET /derp/probe HTTP/1.1\r\n\r\n", // no Host
			"GET /derp/probe HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
			"GET /derp/probe HTTP/1.1\r\nHost: relay\r\nUp grade: DERP\r\n\r\n",
			"GET /derp/probe HTTP/1.1\r\nHost: relay\r\nA: b\x00c\r\n\r\n",
			"G\x00T /derp/probe HTTP/1.1\r\nHost: relay\r\n\r\n",
			"\x00\x01\x02\x03\x04\x05\x06\x07\x08\r\n\r\n",
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			"GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: relay\r\n\r\n",
		} {
			c := Dial(t, s, nil)
			c.SetDeadline(time.Now().Add(patience))
			c.Write([]byte(head))
			// An answer of 4xx or 5xx, or a close without one.
			res, err := http.ReadResponse(c.br, nil)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%.40q: neither an answer nor a close", head)
			}
			if err == nil && res.StatusCode < 400 {
				t.Errorf("%.40q: %s, want a refusal", head, res.Status)
			}
			c.Close()
		}
		Login(t, s).ExpectAlive(t)
	})
}

// Captive portal detection: the challenge comes back if it is short and made
// of letters, digits and . - _ :
func TestGenerate204(t *testing.T) {
	const sendName, name = "X-Tailscale-Challenge", "X-Tailscale-Response"
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{HTTP: true})
		hc := s.HTTPClient(t)
		for _, u := range []string{s.URL("/generate_204"), s.HTTPURL("/generate_204"), s.HTTPURL("/generate_204?t=1234567")} {
			for _, c := range []struct {
				challenge string
				echo      bool
			}{
				{"", false},
				{"input", true},
				{"ts_derp1.example.com", true},
				{"ts_[::1]", false},
				{"ts_::1", true},
				{"AZaz09.-_:", true},
				{strings.Repeat("x", 64), true},
				{strings.Repeat("x", 65), false},
				{"two words", false},
				{"a/b", false},
				{"<script>", false},
				{"\u00fc", false},
				{"\U0001f511", false},
			} {
				for _, method := range []string{"GET", "HEAD", "POST"} {
					e := exchange{method, u, nil, 204, map[string]string{
						"Cache-Control":             "no-cache, no-store, must-revalidate, no-transform, max-age=0",
						"Strict-Transport-Security": "",
						name:                        "",
					}, text("")}
					if c.challenge != "" {
						e.send = map[string]string{sendName: c.challenge}
					}
					if c.echo {
						e.header[name] = "response " + c.challenge
					}
					e.check(t, hc)
				}
			}
		}
	})
}

// robots.txt, and pages that are for DERP clients only.
func TestOtherPages(t *testing.T) {
	eachMode(t, func(t *testing.T, s *Server) {
		hc := s.HTTPClient(t)
		exchange{"GET", s.URL("/robots.txt"), nil, 200, browserHeaders, text("User-agent: *\nDisallow: /\n")}.check(t, hc)
		exchange{"HEAD", s.URL("/robots.txt"), nil, 200, browserHeaders, text("")}.check(t, hc)
		exchange{"GET", s.URL("/derp"), nil, 426, noBrowserHeaders, text("DERP requires connection upgrade\n")}.check(t, hc)
		exchange{"POST", s.URL("/derp"), nil, 426, noBrowserHeaders, nil}.check(t, hc)
		// Unknown paths show the home page: derper's mux has no 404.
		for _, path := range []string{"/foo", "/derp/", "/derp/foo", "/DERP", "/robots.txt/", "/index.html"} {
			exchange{"GET", s.URL(path), nil, 200, browserHeaders, nil}.check(t, hc)
		}
	})
}

// The home page is set by -home: derper's own page, a blank one, or another
// site.
func TestHomePage(t *testing.T) {
	html := maps.Clone(browserHeaders)
	html["Content-Type"] = "text/html; charset=utf-8"
	cases := []struct {
		name string
		args []string
		want exchange
		text string
	}{
		{"default", nil, exchange{status: 200, header: html}, "DERP"},
		{"empty", []string{"-home", ""}, exchange{status: 200, header: html}, "DERP"},
		{"blank", []string{"-home", "blank"}, exchange{status: 200, header: html, body: text("")}, ""},
		{"url", []string{"--home=https://www.example.com/x?y=1"}, exchange{status: 302, header: map[string]string{
			"Location":        "https://www.example.com/x?y=1",
			"X-Frame-Options": "DENY",
		}}, ""},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := Start(t, v, Options{Args: c.args, Plain: i%2 == 1})
				hc := s.HTTPClient(t)
				for _, method := range []string{"GET", "HEAD"} {
					e := c.want
					e.method, e.url = method, s.URL("/")
					e.check(t, hc)
				}
				res, err := hc.Get(s.URL("/"))
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if b, _ := io.ReadAll(res.Body); !strings.Contains(string(b), c.text) {
					t.Errorf("page %q, want one with %q", b, c.text)
				}
			})
		}
	})
}

// The plain listener beside TLS sends people to HTTPS, except for the debug
// pages, which are for local callers.
func TestPort80(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{HTTP: true})
		hc := s.HTTPClient(t)
		// derper keeps the port of the Host field, although no TLS is spoken
		// there. relayd leaves it out, which is right for the usual ports.
		host := map[Kind]string{Relayd: s.Host, Derper: s.addrOf(s.HTTPPort)}[v.kind]
		to := func(path string) map[string]string {
			return map[string]string{"Location": "https://" + host + path}
		}
		forwarded := map[string]string{"X-Forwarded-For": "192.0.2.1"}
		for _, e := range []exchange{
			{"GET", "/foo?x=1&y=%20", nil, 302, to("/foo?x=1&y=%20"), nil},
			{"HEAD", "/foo", nil, 302, to("/foo"), text("")},
			{"GET", "/derp", nil, 302, to("/derp"), nil},
			{"GET", "/derp/probe", nil, 302, to("/derp/probe"), nil},
			{"GET", "/robots.txt", nil, 302, to("/robots.txt"), nil},
			{"GET", "/", forwarded, 302, to("/"), nil},
			// Who may see the debug pages is sent to them.
			{"GET", "/", nil, 302, to("/debug/"), nil},
			{"POST", "/foo", nil, 400, nil, text("Use HTTPS\n")},
			{"PUT", "/", nil, 400, nil, text("Use HTTPS\n")},
			{"GET", "/debug/varz", nil, 200, nil, nil},
			{"GET", "/debug/varz", forwarded, 403, nil, nil},
		} {
			e.url = s.HTTPURL(e.url)
			e.check(t, hc)
		}
		// An upgrade is redirected as well: DERP is for the main listener.
		exchange{"GET", s.HTTPURL("/derp"), map[string]string{"Connection": "Upgrade", "Upgrade": "DERP"}, 302, to("/derp"), nil}.check(t, hc)
	})
}

// The debug pages are for loopback and denied to callers behind a proxy.
func TestDebugAccess(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, host := range []string{"127.0.0.1", "::1"} {
			s := Start(t, v, Options{Host: host})
			hc := s.HTTPClient(t)
			debugHeaders := maps.Clone(browserHeaders)
			debugHeaders["Content-Security-Policy"] += "; style-src 'self' 'unsafe-inline'"
			exchange{"GET", s.URL("/debug/varz"), nil, 200, debugHeaders, nil}.check(t, hc)
			exchange{"GET", s.URL("/debug/"), nil, 200, browserHeaders, nil}.check(t, hc)
			for _, path := range []string{"/debug/varz", "/debug/"} {
				exchange{"GET", s.URL(path), map[string]string{"X-Forwarded-For": "127.0.0.1"}, 403, nil, nil}.check(t, hc)
			}
			exchange{"GET", s.URL("/debug/nothing"), nil, 404, nil, nil}.check(t, hc)
		}
	})
}

// relayd has pages that derper lacks: /healthz for supervisors, /metrics for
// Prometheus as on every daemon of the project. derper shows its home page.
func TestRelaydPages(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		hc := s.HTTPClient(t)
		if v.kind == Derper {
			for _, path := range []string{"/healthz", "/metrics"} {
				exchange{"GET", s.URL(path), nil, 200, map[string]string{"Content-Type": "text/html; charset=utf-8"}, nil}.check(t, hc)
			}
			return
		}
		for _, method := range []string{"GET", "HEAD"} {
			exchange{method, s.URL("/healthz"), nil, 200, nil, nil}.check(t, hc)
		}
		res, err := hc.Get(s.URL("/healthz"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if ct := res.Header.Get("Content-Type"); strings.HasPrefix(ct, "text/html") {
			t.Errorf("/healthz: Content-Type %q: this is the home page", ct)
		}
		if m := s.metricsPage(t, hc, "/metrics"); len(m.Value) == 0 {
			t.Error("/metrics has no series")
		}
	})
}

// When a certificate for an IP address is made, the line for the DERP map is
// printed, with the pin.
func TestPrintsDERPNode(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		want := s.Pin(t)
		var found bool
		eventually(t, "the DERPNode is printed", func() bool {
			for line := range strings.Lines(s.Log()) {
				i := strings.IndexByte(line, '{')
				var node struct{ HostName, CertName string }
				if i < 0 || json.Unmarshal([]byte(strings.TrimSpace(line[i:])), &node) != nil || node.CertName == "" {
					continue
				}
				if node.HostName != s.Hostname || node.CertName != want {
					t.Fatalf("printed %+v, want HostName %s and CertName %s", node, s.Hostname, want)
				}
				found = true
			}
			return found
		})
	})
}
