package main

import (
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The benchmark is worth nothing if a wrong map passes: here are some.
func TestNetmapJudgesMaps(t *testing.T) {
	all := truths{}
	announce := func(i, team int, key string) *truth {
		x := &truth{index: i, team: team, key: key, relay: 900, disco: digest([]string{"d" + key}),
			endpoints: digest([]string{"10.0.0.1:1", "10.0.0.2:2"}), addresses: digest([]string{"100.64.0.1/32"})}
		all[key] = x
		return x
	}
	self := announce(0, 0, "a")
	announce(1, 0, "b")
	announce(2, 1, "c") // of another team

	const first = `{"Node":{"ID":1,"Key":"a","Addresses":["100.64.0.9/32"]},"PacketFilters":{"base":[{}]},"Peers":[PEERS]}`
	with := func(peers string) string { return strings.Replace(first, "PEERS", peers, 1) }
	good := `{"ID":2,"Key":"b","DiscoKey":"db","Addresses":["100.64.0.1/32"],"Endpoints":["10.0.0.2:2","10.0.0.1:1"],` +
		`"HomeDERP":900,"Online":true}`
	for _, test := range []struct {
		name, fault string
		messages    []string
	}{
		{"right", "", []string{with(good)}},
		{"no peer", "has 0 peers, want 1", []string{with("")}},
		{"no filter", "no packet filter", []string{`{"Node":{"ID":1,"Key":"a"},"Peers":[` + good + `]}`}},
		{"stranger", "a key that no node has", []string{with(strings.Replace(good, `"b"`, `"x"`, 1))}},
		{"other team", "sees node 2 of team 1", []string{with(strings.Replace(good, `"b"`, `"c"`, 1))}},
		{"itself", "itself is among", []string{with(strings.Replace(good, `"b"`, `"a"`, 1))}},
		{"disco key", "wrong disco key", []string{with(strings.Replace(good, `"db"`, `"dx"`, 1))}},
		{"endpoint", "wrong endpoints", []string{with(strings.Replace(good, "2:2", "2:3", 1))}},
		{"relay", "relay 901", []string{with(strings.Replace(good, "900", "901", 1))}},
		{"address", "other addresses", []string{with(strings.Replace(good, "64.0.1/", "64.0.2/", 1))}},
		{"offline", "as offline", []string{with(strings.Replace(good, "true", "false", 1))}},
		{"patched right", "", []string{with(strings.Replace(good, "2:2", "2:3", 1)),
			`{"PeersChangedPatch":[{"NodeID":2,"Endpoints":["10.0.0.1:1","10.0.0.2:2"]}]}`}},
		{"patched wrong", "wrong endpoints", []string{with(good),
			`{"PeersChangedPatch":[{"NodeID":2,"Endpoints":["10.0.0.1:1"]}]}`}},
		{"gone", "has 0 peers, want 1", []string{with(good), `{"PeersRemoved":[2]}`}},
		{"joined", "", []string{with(""), `{"PeersChanged":[` + good + `]}`}},
		{"online change", "as offline", []string{with(good), `{"OnlineChange":{"2":false}}`}},
	} {
		m := newNetmap(self)
		for _, text := range test.messages {
			if err := m.apply(zip(text), all); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
		}
		fault := m.fault(1)
		if fault != test.fault && (test.fault == "" || !strings.Contains(fault, test.fault)) {
			t.Errorf("%s: fault %q, want %q", test.name, fault, test.fault)
		}
		// Addresses, filter and online are judged at the end alone.
		late := strings.Contains(fault, "addresses") || strings.Contains(fault, "filter") || strings.Contains(fault, "offline")
		if m.complete(1) != (fault == "" || late) {
			t.Errorf("%s: complete is %v with fault %q", test.name, m.complete(1), fault)
		}
	}
	if err := newNetmap(self).apply(zip(`{"Peers":[`+good+`]}`), all); err == nil {
		t.Error("a first message without Node passes")
	}
	if err := newNetmap(self).apply(zip(`{"Node":{"ID":2,"Key":"b"}}`), all); err == nil {
		t.Error("the Node of somebody else passes")
	}
}

func zip(text string) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e.EncodeAll([]byte(text), nil)
}

// A message may be cut anywhere.
func TestMapReaderJoinsPieces(t *testing.T) {
	stream := []byte("\x03\x00\x00\x00abc\x01\x00\x00\x00d")
	for size := 1; size <= len(stream); size++ {
		var r mapReader
		var got []string
		for at := 0; at < len(stream); at += size {
			err := r.write(stream[at:min(at+size, len(stream))], func(text []byte) { got = append(got, string(text)) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if strings.Join(got, ",") != "abc,d" {
			t.Errorf("in pieces of %d: %q", size, got)
		}
	}
	var r mapReader
	if r.write([]byte("\xff\xff\xff\xff"), nil) == nil {
		t.Error("a message of 4 GB passes")
	}
}

func TestYamlMap(t *testing.T) {
	got := string(yamlMap(`{"Regions":{"900":{"RegionID":900,"Nodes":[{"Name":"900a","CertName":"sha256-raw:AB"}]}}}`))
	want := `{"regions":{900: {"regionid":900,"nodes":[{"name":"900a","certname":"sha256-raw:AB"}]}}}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
