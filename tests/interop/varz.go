package interop

// This file reads the Prometheus pages of the relay.

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Metrics is a parsed metrics page.
type Metrics struct {
	Value map[string]float64 // by series: name and labels as printed
	Type  map[string]string  // by family; "untyped" if no TYPE line says more
}

func parseMetrics(t testing.TB, r io.Reader) Metrics {
	t.Helper()
	m := Metrics{Value: map[string]float64{}, Type: map[string]string{}}
	for sc := bufio.NewScanner(r); sc.Scan(); {
		line := sc.Text()
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, typ, _ := strings.Cut(rest, " ")
			m.Type[name] = typ
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		if i < 0 {
			t.Fatalf("metrics line without a value: %q", line)
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("metrics line %q: %v", line, err)
		}
		m.Value[line[:i]] = v
		if name := m.family(line[:i]); m.Type[name] == "" {
			m.Type[name] = "untyped"
		}
	}
	return m
}

// family returns the family that a series belongs to.
func (m Metrics) family(series string) string {
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		if typ := m.Type[base]; ok && (typ == "histogram" || typ == "summary") {
			return base
		}
	}
	return name
}

// Varz fetches /debug/varz.
func (s *Server) Varz(t testing.TB) Metrics {
	t.Helper()
	return s.metricsPage(t, s.HTTPClient(t), "/debug/varz")
}

func (s *Server) metricsPage(t testing.TB, hc *http.Client, path string) Metrics {
	t.Helper()
	res, err := hc.Get(s.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("GET %s: %s", path, res.Status)
	}
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Fatalf("GET %s: Content-Type %q", path, ct)
	}
	return parseMetrics(t, res.Body)
}

// AwaitVarz polls /debug/varz until each of the series has its value.
func (s *Server) AwaitVarz(t testing.TB, want map[string]float64) {
	t.Helper()
	hc := s.HTTPClient(t)
	got := map[string]float64{}
	ok := poll(patience, func() bool {
		m := s.metricsPage(t, hc, "/debug/varz")
		same := true
		for series, v := range want {
			got[series] = m.Value[series]
			same = same && got[series] == v
		}
		return same
	})
	if !ok {
		t.Fatalf("/debug/varz has %v, want %v", got, want)
	}
}
