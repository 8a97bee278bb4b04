package interop

import (
	"mime"
	"sort"
	"strings"
	"testing"

	"tailscale.com/derp"
	"tailscale.com/net/stun"
	"tailscale.com/types/key"
)

// derperFamilies are the families of /debug/varz on which dashboards for
// derper stand, with their types.
var derperFamilies = map[string]string{
	"derp_accepts":                             "counter",
	"derp_average_queue_duration_ms":           "untyped",
	"derp_buffered_write_frames":               "histogram",
	"derp_bytes_dropped":                       "counter",
	"derp_bytes_received":                      "counter",
	"derp_bytes_sent":                          "counter",
	"derp_clients_local":                       "gauge",
	"derp_clients_remote":                      "gauge",
	"derp_clients_total":                       "gauge",
	"derp_current_connections":                 "gauge",
	"derp_current_dup_client_conns":            "gauge",
	"derp_current_dup_client_keys":             "gauge",
	"derp_current_file_descriptors":            "gauge",
	"derp_current_home_connections":            "gauge",
	"derp_current_notideal_connections":        "gauge",
	"derp_got_ping":                            "counter",
	"derp_home_moves_in":                       "counter",
	"derp_home_moves_out":                      "counter",
	"derp_memstats_sys0":                       "gauge",
	"derp_mesh_update_batch_size":              "histogram",
	"derp_mesh_update_loop_count":              "histogram",
	"derp_multiforwarder_created":              "counter",
	"derp_multiforwarder_deleted":              "counter",
	"derp_packet_forwarder_delete_other_value": "counter",
	"derp_packets_dropped":                     "counter",
	"derp_packets_forwarded_in":                "counter",
	"derp_packets_forwarded_out":               "counter",
	"derp_packets_received":                    "counter",
	"derp_packets_received_kind":               "counter",
	"derp_packets_sent":                        "counter",
	"derp_peer_gone_disconnected_frames":       "counter",
	"derp_peer_gone_not_here_frames":           "counter",
	"derp_sclient_write_timeouts":              "counter",
	"derp_sent_pong":                           "counter",
	"derp_tcp_rtt":                             "counter",
	"derp_total_dup_client_conns":              "counter",
	"derp_unknown_frames":                      "counter",
	"derp_watchers":                            "gauge",
	"derp_websocket_accepts":                   "counter",
	"derper_tls_active_version":                "gauge",
	"derper_tls_request_version":               "untyped",
	"stun_addrfamily":                          "counter",
	"stun_requests":                            "counter",
	"tls_listener_accepted_connections":        "counter",
	"tls_listener_rejected_connections":        "counter",
}

// notInRelayd are the exceptions, each with its reason.
var notInRelayd = map[string]string{
	"derp_memstats_sys0": "the Go runtime's memory at start",
}

// precreated are the series that are there before anything has happened, so
// that rates can be computed from the first event on.
func precreated() []string {
	series := []string{
		`derp_packets_received_kind{kind="disco"}`, `derp_packets_received_kind{kind="other"}`,
		`stun_addrfamily{family="ipv4"}`, `stun_addrfamily{family="ipv6"}`,
		"derp_accepts", "derp_current_connections", "tls_listener_accepted_connections",
	}
	for _, d := range []string{"read_error", "not_stun", "write_error", "success"} {
		series = append(series, `stun_requests{disposition="`+d+`"}`)
	}
	for _, reason := range []string{
		"unknown_dest", "unknown_dest_on_fwd", "gone_disconnected",
		"queue_head", "queue_tail", "write_error", "dup_client",
	} {
		for _, kind := range []string{"disco", "other"} {
			labels := `{reason="` + reason + `",kind="` + kind + `"}`
			series = append(series, "derp_packets_dropped"+labels, "derp_bytes_dropped"+labels)
		}
	}
	return series
}

// The metrics keep derper's names, types and labels, right after the start and
// after traffic of all sorts.
func TestVarz(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{STUN: true})
		hc := s.HTTPClient(t)
		// A first request: the families of the TLS version are made by it.
		s.metricsPage(t, hc, "/debug/varz")
		m := s.metricsPage(t, hc, "/debug/varz")
		checkFamilies(t, v, m)
		for _, series := range precreated() {
			if _, ok := m.Value[series]; !ok {
				t.Errorf("right after the start there is no %s", series)
			}
		}

		a, b := Login(t, s), Login(t, s)
		a.Send(t, b.Pub, []byte("x"))
		b.ExpectPacket(t, a.Pub, []byte("x"))
		a.Send(t, key.NewNode().Public(), discoPacket(62))
		a.Expect(t, derp.FramePeerGone)
		b.Close()
		a.ExpectAlive(t)
		m = s.metricsPage(t, hc, "/debug/varz")
		checkFamilies(t, v, m)
		if m.Value["derp_current_file_descriptors"] < 4 {
			t.Errorf("derp_current_file_descriptors is %v", m.Value["derp_current_file_descriptors"])
		}
	})
}

func checkFamilies(t *testing.T, v variant, m Metrics) {
	t.Helper()
	for name, typ := range derperFamilies {
		if v.kind == Relayd && notInRelayd[name] != "" {
			continue
		}
		if got := m.Type[name]; got != typ {
			t.Errorf("%s: %q, want %q", name, got, typ)
		}
	}
	if v.kind != Derper {
		return
	}
	// The table above is complete.
	var unknown []string
	for name := range m.Type {
		for _, prefix := range []string{"derp_", "stun_", "tls_listener_", "derper_tls_"} {
			if strings.HasPrefix(name, prefix) && derperFamilies[name] == "" {
				unknown = append(unknown, name)
			}
		}
	}
	sort.Strings(unknown)
	if len(unknown) > 0 {
		t.Errorf("derper has families that the table lacks: %v", unknown)
	}
}

// The page is in the text format that Prometheus reads. derper means to say so
// but sets the header after it has begun to write, so its type is a guess of
// the HTTP library; relayd says it.
func TestVarzContentType(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		res, err := s.HTTPClient(t).Get(s.URL("/debug/varz"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		typ, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil || typ != "text/plain" || params["charset"] != "utf-8" {
			t.Errorf("Content-Type %q", res.Header.Get("Content-Type"))
		}
		want := map[Kind]string{Relayd: "0.0.4", Derper: ""}[v.kind]
		if params["version"] != want {
			t.Errorf("version %q, want %q", params["version"], want)
		}
	})
}

// Requests and connections are counted by TLS version, and the built-in STUN
// server counts by outcome and address family.
func TestConnectionCounters(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{STUN: true})
		// One connection for both pages: an idle one would count, too.
		hc := s.HTTPClient(t)
		before := s.metricsPage(t, hc, "/debug/varz")
		c := Login(t, s)
		req := stun.Request(stun.NewTxID())
		if _, _, err := askSTUN(s.addrOf(s.STUNPort), req, patience); err != nil {
			t.Fatal(err)
		}
		askSTUN(s.addrOf(s.STUNPort), []byte("not STUN at all"), quietTime)
		after := s.metricsPage(t, hc, "/debug/varz")
		grew := func(series string) float64 { return after.Value[series] - before.Value[series] }
		for series, want := range map[string]float64{
			"tls_listener_accepted_connections":         1,
			`derper_tls_request_version{version="1.3"}`: 2, // with this page
			`derper_tls_active_version{version="1.3"}`:  1, // the client stays
			`stun_requests{disposition="success"}`:      1,
			`stun_requests{disposition="not_stun"}`:     1,
			`stun_addrfamily{family="ipv4"}`:            1,
			`stun_addrfamily{family="ipv6"}`:            0,
			"tls_listener_rejected_connections":         0,
		} {
			if got := grew(series); got != want {
				t.Errorf("%s grew by %v, want %v", series, got, want)
			}
		}
		c.ExpectAlive(t)
	})
}
