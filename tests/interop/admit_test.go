package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"
	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// The head without Derp-Fast-Start is answered with 101 and derper's header
// lines; the greeting follows.
func TestUpgrade101(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, plain := range []bool{false, true} {
			t.Run(modeName(plain), func(t *testing.T) {
				s := Start(t, v, Options{Plain: plain})
				c := Dial(t, s, nil)
				c.WriteAll(t, head(s))
				res := c.ReadResponse(t)
				if res.StatusCode != 101 {
					t.Fatalf("status %s", res.Status)
				}
				c.ReadServerKey(t)
				for name, want := range map[string]string{
					"Upgrade": "DERP", "Connection": "Upgrade", "Derp-Version": "2",
					"Derp-Public-Key": c.ServerKey.UntypedHexString(),
				} {
					if got := res.Header.Get(name); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				c.WriteAll(t, c.ClientInfo([]byte(`{"version":2}`)))
				c.ReadServerInfo(t)
				c.ExpectAlive(t)
			})
		}
	})
}

// With Derp-Fast-Start: 1 no byte of an HTTP response is written: the greeting
// comes first. Other values of the header mean nothing.
func TestFastStartHeader(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, line := range []string{"Derp-Fast-Start: 1", "derp-fast-start:1", "DERP-FAST-START:  1  "} {
			c := Dial(t, s, nil)
			c.WriteAll(t, head(s, line))
			c.ReadServerKey(t)
		}
		for _, line := range []string{"Derp-Fast-Start: 0", "Derp-Fast-Start:", "Derp-Fast-Start: true"} {
			c := Dial(t, s, nil)
			c.WriteAll(t, head(s, line))
			if res := c.ReadResponse(t); res.StatusCode != 101 {
				t.Errorf("%s: status %s", line, res.Status)
			}
			c.ReadServerKey(t)
		}
	})
}

// Which requests for /derp become DERP connections: the Upgrade header alone
// decides, in any letter case; method, Connection and Host do not matter.
func TestUpgradeHeader(t *testing.T) {
	const protocol = "HTTP/1.1\r\nHost: relay\r\n"
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, c := range []struct {
			head   string
			status int
		}{
			{"GET /derp " + protocol + "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n", 101},
			{"GET /derp " + protocol + "connection: upgrade\r\nupgrade: derp\r\n\r\n", 101},
			{"GET /derp " + protocol + "UPGRADE: Derp\r\n\r\n", 101},
			{"GET /derp?x=1 " + protocol + "Upgrade: DERP\r\n\r\n", 101},
			{"POST /derp " + protocol + "Upgrade: DERP\r\n\r\n", 101},
			// Very old clients said websocket, without the subprotocol.
			{"GET /derp " + protocol + "Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n", 101},
			{"GET /derp " + protocol + "\r\n", 426},
			{"GET /derp " + protocol + "Upgrade: h2c\r\n\r\n", 426},
			{"GET /derp " + protocol + "Upgrade: DERP2\r\n\r\n", 426},
		} {
			d := Dial(t, s, nil)
			d.WriteAll(t, []byte(c.head))
			res := d.ReadResponse(t)
			if res.StatusCode != c.status {
				t.Errorf("%q: status %s, want %d", c.head, res.Status, c.status)
				continue
			}
			if c.status == 101 {
				d.ReadServerKey(t)
				d.WriteAll(t, d.ClientInfo([]byte(`{"version":2}`)))
				d.ReadServerInfo(t)
			}
		}
	})
}

// The bytes after the head belong to DERP, however the stream is cut: all in
// one write, at random points (each write is a TLS record of its own), and
// byte by byte; with fast start, and with a client that does not wait for the
// 101 response.
func TestGluedAndSplit(t *testing.T) {
	cuts := []struct {
		name  string
		write func(t *testing.T, c *Raw, b []byte)
	}{
		{"one write", func(t *testing.T, c *Raw, b []byte) { c.WriteAll(t, b) }},
		{"bytes", func(t *testing.T, c *Raw, b []byte) {
			for i := range b {
				c.WriteAll(t, b[i:i+1])
			}
		}},
	}
	for seed := range uint64(8) {
		cuts = append(cuts, struct {
			name  string
			write func(t *testing.T, c *Raw, b []byte)
		}{fmt.Sprintf("seed %d", seed), func(t *testing.T, c *Raw, b []byte) {
			r := rand.New(rand.NewPCG(seed, 1))
			for len(b) > 0 {
				n := 1 + r.IntN(min(len(b), 60))
				c.WriteAll(t, b[:n])
				b = b[n:]
			}
		}})
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, plain := range []bool{false, true} {
			t.Run(modeName(plain), func(t *testing.T) {
				s := Start(t, v, Options{Plain: plain})
				known := Login(t, s).ServerKey
				for _, fast := range []bool{true, false} {
					for _, cut := range cuts {
						c := Dial(t, s, nil)
						c.ServerKey = known
						b := head(s)
						if fast {
							b = head(s, fastStart)
						}
						b = append(b, c.ClientInfo([]byte(`{"version":2}`))...)
						b = append(b, frame(derp.FrameNotePreferred, []byte{1})...)
						b = append(b, SendPacket(c.Pub, []byte("to myself"))...)
						b = append(b, frame(derp.FramePing, []byte("12345678"))...)
						cut.write(t, c, b)
						if !fast {
							if res := c.ReadResponse(t); res.StatusCode != 101 {
								t.Fatalf("%s: status %s", cut.name, res.Status)
							}
						}
						c.ReadServerKey(t)
						c.ReadServerInfo(t)
						// The packet and the pong come in either order: the
						// server may answer the ping first.
						got := map[derp.FrameType]string{}
						for range 2 {
							typ, p, err := c.Next(patience)
							if err != nil {
								t.Fatalf("%s, fast start %v: %v", cut.name, fast, err)
							}
							got[typ] = string(p)
						}
						if !strings.HasSuffix(got[derp.FrameRecvPacket], "to myself") || got[derp.FramePong] != "12345678" {
							t.Fatalf("%s, fast start %v: got %q", cut.name, fast, got)
						}
						c.Close()
					}
				}
			})
		}
	})
}

// greeted returns a connection on which it is the client's turn to send its
// ClientInfo.
func greeted(t *testing.T, s *Server) *Raw {
	t.Helper()
	c := Dial(t, s, nil)
	c.WriteAll(t, head(s, fastStart))
	c.ReadServerKey(t)
	return c
}

// The first frame must be a ClientInfo of 56 to 262,144 bytes whose box opens
// and holds JSON. Everything else closes the connection without a frame, long
// before the ClientInfo deadline.
func TestClientInfoLimits(t *testing.T) {
	const maxLen = 256 << 10
	padded := func(frameLen int) []byte {
		const overhead = derp.KeyLen + derp.NonceLen + box.Overhead
		text := bytes.Repeat([]byte{' '}, frameLen-overhead)
		copy(text, `{"version":2,`)
		copy(text[len(text)-len(`"AppName":"x"}`):], `"AppName":"x"}`)
		return text
	}
	zero := make([]byte, derp.KeyLen)
	cases := []struct {
		name  string
		frame func(c *Raw) []byte
		admit bool
	}{
		{"usual", func(c *Raw) []byte { return c.ClientInfo([]byte(`{"version":2,"CanAckPings":true}`)) }, true},
		{"smallest object", func(c *Raw) []byte { return c.ClientInfo([]byte(`{}`)) }, true},
		{"empty frame", func(c *Raw) []byte { return frame(derp.FrameClientInfo) }, false},
		{"55 bytes", func(c *Raw) []byte {
			return frame(derp.FrameClientInfo, rawKey(c.Pub), make([]byte, 23))
		}, false},
		// Long enough for a key and a nonce, but there is no box.
		{"56 bytes", func(c *Raw) []byte {
			return frame(derp.FrameClientInfo, rawKey(c.Pub), make([]byte, 24))
		}, false},
		{"box of nothing", func(c *Raw) []byte { return c.ClientInfo(nil) }, false},
		{"262144 bytes", func(c *Raw) []byte { return c.ClientInfo(padded(maxLen)) }, true},
		{"262145 bytes", func(c *Raw) []byte { return c.ClientInfo(padded(maxLen + 1)) }, false},
		// Refused by its header, not read.
		{"header of 4 GiB", func(c *Raw) []byte { return []byte{byte(derp.FrameClientInfo), 255, 255, 255, 255} }, false},
		{"zero key", func(c *Raw) []byte {
			return frame(derp.FrameClientInfo, zero, c.Key.SealTo(c.ServerKey, []byte(`{}`)))
		}, false},
		{"box for another server", func(c *Raw) []byte {
			return frame(derp.FrameClientInfo, rawKey(c.Pub), c.Key.SealTo(key.NewNode().Public(), []byte(`{}`)))
		}, false},
		{"box by another client", func(c *Raw) []byte {
			return frame(derp.FrameClientInfo, rawKey(c.Pub), key.NewNode().SealTo(c.ServerKey, []byte(`{}`)))
		}, false},
		{"damaged box", func(c *Raw) []byte {
			f := c.ClientInfo([]byte(`{}`))
			f[len(f)-1] ^= 1
			return f
		}, false},
		{"not ClientInfo", func(c *Raw) []byte { return frame(derp.FramePing, []byte("12345678")) }, false},
		{"not DERP", func(c *Raw) []byte { return []byte("GET / HTTP/1.1\r\nHost: relay\r\n\r\n") }, false},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				c := greeted(t, s)
				c.SetWriteDeadline(time.Now().Add(patience))
				c.Write(tt.frame(c)) // the relay may close before it has read all
				expectAdmission(t, c, tt.admit)
			})
		}
	})
}

// expectAdmission checks that the relay admits the client, or closes the
// connection at once and without a word.
func expectAdmission(t *testing.T, c *Raw, admit bool) {
	t.Helper()
	if admit {
		c.ReadServerInfo(t)
		c.ExpectAlive(t)
		return
	}
	// The deadline for the ClientInfo is 10 s: a close after it proves nothing.
	if seen := c.ExpectClosed(t, 8*time.Second); len(seen) > 0 {
		t.Errorf("frames %v before the close, want none", seen)
	}
}

// Public keys of small order make a shared secret that everybody knows, so
// anybody may claim them.
func TestSmallOrderKey(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		c := greeted(t, s)
		low, any := [32]byte{1}, [32]byte{1, 2, 3}
		var shared [32]byte
		box.Precompute(&shared, &low, &any)
		nonce := [24]byte{42}
		sealed := box.SealAfterPrecomputation(nonce[:], []byte(`{"version":2}`), &nonce, &shared)
		c.WriteAll(t, frame(derp.FrameClientInfo, low[:], sealed))
		if v.kind == Relayd {
			// libsodium refuses such keys, and that is right: the client
			// has proved nothing.
			expectAdmission(t, c, false)
			return
		}
		c.Expect(t, derp.FrameServerInfo)
	})
}

const goodMeshKey = "6d529e9d4ef632d22d4a4214cb49da8f1ba1b72697061fb24e312984c35ec8d8"

// relaydDiffers are the texts about which relayd's JSON library, jansson, and
// Go's decoder disagree. No stock client sends any of them, so relayd does not
// go behind the library's back.
var relaydDiffers = map[string]string{
	"AppName with lone surrogate": "RFC 8259 leaves it open; jansson refuses",
	"AppName not UTF-8":           "RFC 8259 forbids it; Go replaces the bytes",
	"unknown huge integer":        "beyond 64 bits; jansson refuses",
	"unknown huge exponent":       "beyond a double; jansson refuses",
	"unknown NUL name":            "jansson's names end at NUL, so it refuses",
	"unknown deep":                "jansson's limit is 2,048 levels, Go's 10,000",
	"mesh key bad then good":      "the last of a name counts; Go wants all to be good",
	"version bad then good":       "the last of a name counts; Go wants all to be good",
}

// Which texts a ClientInfo may hold: what Go's JSON decoder makes of them
// decides, since that is what stock clients were written against.
func TestClientInfoJSON(t *testing.T) {
	cases := []struct {
		name  string
		json  string
		admit bool
	}{
		{"empty object", `{}`, true},
		{"stock", `{"version":2,"CanAckPings":true,"IsProber":true,"AppName":"x"}`, true},
		{"Go names", `{"Version":5,"MeshKey":"` + goodMeshKey + `"}`, true},
		{"tag names", `{"version":5,"meshKey":"` + goodMeshKey + `"}`, true},
		{"other case", `{"VERSION":5,"MESHKEY":"` + strings.ToUpper(goodMeshKey) + `","canackpings":true,"isprober":false,"appname":""}`, true},
		{"escaped name", `{"\u0076ersion":2}`, true},
		{"spaces", " \t\r\n{ \"version\" : 2 }\n", true},
		{"mesh key too short", `{"version":5,"meshKey":"abcdefg"}`, false},
		{"mesh key too long", `{"version":5,"meshKey":"` + strings.Repeat("f", 68) + `"}`, false},
		{"mesh key of 63", `{"meshKey":"` + goodMeshKey[1:] + `"}`, false},
		{"mesh key of 65", `{"meshKey":"` + goodMeshKey + `0"}`, false},
		{"mesh key not hex", `{"meshKey":"` + goodMeshKey[1:] + `g"}`, false},
		{"mesh key empty", `{"meshKey":""}`, false},
		{"mesh key null", `{"meshKey":null}`, false},
		{"mesh key number", `{"meshKey":5}`, false},
		{"mesh key array", `{"meshKey":["` + goodMeshKey + `"]}`, false},
		{"mesh key object", `{"meshKey":{}}`, false},
		{"mesh key padded", `{"meshKey":" ` + goodMeshKey + `"}`, false},
		{"mesh key bad then good", `{"meshKey":"","meshKey":"` + goodMeshKey + `"}`, false},
		{"mesh key upper case name and bad", `{"MESHKEY":""}`, false},
		{"version twice", `{"version":1,"version":2}`, true},
		{"version null", `{"version":null}`, true},
		{"version negative", `{"version":-1}`, true},
		{"version largest", `{"version":9223372036854775807}`, true},
		{"version too large", `{"version":9223372036854775808}`, false},
		{"version 2.0", `{"version":2.0}`, false},
		{"version 2e0", `{"version":2e0}`, false},
		{"version string", `{"version":"2"}`, false},
		{"version true", `{"version":true}`, false},
		{"version array", `{"version":[2]}`, false},
		{"version bad then good", `{"version":"2","version":2}`, false},
		{"CanAckPings null", `{"CanAckPings":null}`, true},
		{"CanAckPings number", `{"CanAckPings":1}`, false},
		{"IsProber string", `{"IsProber":"true"}`, false},
		{"AppName null", `{"AppName":null}`, true},
		{"AppName number", `{"AppName":1}`, false},
		{"AppName with NUL", `{"AppName":"a\u0000b"}`, true},
		{"AppName with lone surrogate", `{"AppName":"\ud800"}`, true},
		{"AppName not UTF-8", "{\"AppName\":\"\xff\xfe\"}", true},
		{"AppName with raw control", "{\"AppName\":\"a\nb\"}", false},
		{"unknown field", `{"new":{"a":[1,2.5,{"b":null}]},"version":2}`, true},
		{"unknown huge integer", `{"new":123456789012345678901234567890}`, true},
		{"unknown huge exponent", `{"new":1e999}`, true},
		{"unknown empty name", `{"":1}`, true},
		{"unknown NUL name", `{"\u0000":1}`, true},
		{"unknown deep", `{"new":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, true},
		{"too deep", `{"new":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, false},
		{"null", `null`, true},
		{"array", `[]`, false},
		{"string", `"x"`, false},
		{"number", `2`, false},
		{"true", `true`, false},
		{"spaces only", `   `, false},
		{"trailing garbage", `{"version":2}x`, false},
		{"two objects", `{}{}`, false},
		{"trailing NUL", "{}\x00", false},
		{"cut off", `{"version":2`, false},
		{"comma at end", `{"version":2,}`, false},
		{"single quotes", `{'version':2}`, false},
		{"comment", `{/**/}`, false},
		{"leading zero", `{"version":02}`, false},
		{"NaN", `{"new":NaN}`, false},
		{"byte order mark", "\ufeff{}", false},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				c := greeted(t, s)
				c.WriteAll(t, c.ClientInfo([]byte(tt.json)))
				_, differs := relaydDiffers[tt.name]
				expectAdmission(t, c, tt.admit != (v.kind == Relayd && differs))
			})
		}
	})
}

// Connections that stall are closed: one without a TLS handshake, one without
// an HTTP request, one without a ClientInfo. relayd's limits are set short,
// derper's are 30 s, 30 s and 10 s.
func TestHandshakeDeadlines(t *testing.T) {
	cases := []struct {
		name   string
		relayd time.Duration
		derper time.Duration
		dial   func(t *testing.T, s *Server) *Raw
	}{
		{"no TLS", 2 * time.Second, 30 * time.Second, func(t *testing.T, s *Server) *Raw {
			plain := *s
			plain.Plain = true
			return Dial(t, &plain, nil)
		}},
		{"no request", 2 * time.Second, 30 * time.Second, func(t *testing.T, s *Server) *Raw {
			return Dial(t, s, nil)
		}},
		{"half a request", 2 * time.Second, 30 * time.Second, func(t *testing.T, s *Server) *Raw {
			c := Dial(t, s, nil)
			c.WriteAll(t, head(s)[:20])
			return c
		}},
		{"no ClientInfo", time.Second, 10 * time.Second, greeted},
		{"half a ClientInfo", time.Second, 10 * time.Second, func(t *testing.T, s *Server) *Raw {
			c := greeted(t, s)
			c.WriteAll(t, c.ClientInfo([]byte(`{"version":2}`))[:40])
			return c
		}},
	}
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{RelaydArgs: []string{"-tls-timeout", "2s", "-hello-timeout", "1s"}})
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				limit := tt.relayd
				if v.kind == Derper {
					limit = tt.derper
				}
				start := time.Now()
				c := tt.dial(t, s)
				c.ExpectClosed(t, limit+patience/2)
				if took := time.Since(start); took < limit*8/10 {
					t.Errorf("closed after %v, want %v", took, limit)
				}
			})
		}
	})
}
