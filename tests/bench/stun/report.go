// report.go: medians, ratios to each peer, and verdicts, as a table for people and as JSON.

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"campusnet/bench/table"
)

// The peers that the others are compared with, by name.
var bases = []string{"floor", "tailscale", "coturn"}

// machinery is for JSON only: without a title a row is not in the table.
var machinery = []row{{metric: "busy", unit: "%", most: none}, {metric: "others_cores", unit: "cores", most: none}}

type measure struct {
	Load    string                  `json:"load"`
	Metric  string                  `json:"metric"`
	Title   string                  `json:"title"`
	Unit    string                  `json:"unit"`
	Target  string                  `json:"target,omitempty"`
	Values  map[string]table.Spread `json:"values"`
	Ratios  map[string]table.Ratio  `json:"ratios"`           // by "NAME/BASE"
	Limited map[string]table.Ratio  `json:"limits,omitempty"` // by NAME: verdicts on values alone
}

type serverInfo struct {
	Name    string   `json:"name"`
	Path    string   `json:"path"`
	Flags   []string `json:"flags"`
	Version string   `json:"version"`
}

type report struct {
	Kernel    string       `json:"kernel"`
	CPU       string       `json:"cpu"`
	Cores     int          `json:"cores"`
	LoadStart string       `json:"load_average_start"`
	LoadEnd   string       `json:"load_average_end"`
	Tailscale string       `json:"tailscale"`
	Rounds    int          `json:"rounds"`
	Seconds   float64      `json:"seconds"`
	Apart     bool         `json:"on_cores_apart"`
	Realtime  bool         `json:"realtime"`
	Servers   []serverInfo `json:"servers"`
	Measures  []measure    `json:"measures"`

	samples map[[3]string][]float64 // load, metric, server
}

func newReport(entries []entry, o options, where places) *report {
	r := &report{
		Kernel: table.FileField("/proc/sys/kernel/osrelease", ""), CPU: table.FileField("/proc/cpuinfo", "model name"),
		Cores: runtime.NumCPU(), LoadStart: table.LoadAverage(), Tailscale: "unknown", Rounds: o.rounds, Seconds: o.seconds,
		Apart: where.apart, Realtime: where.realtime, samples: map[[3]string][]float64{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "tailscale.com" {
				r.Tailscale = d.Version
			}
		}
	}
	for _, e := range entries {
		version := e.version()
		if e.kind == kindTailscale {
			version = r.Tailscale
		}
		r.Servers = append(r.Servers, serverInfo{e.name, e.path, e.flags, version})
	}
	return r
}

func (r *report) add(e entry, l load, fig figures) {
	for metric, v := range fig {
		k := [3]string{l.name, metric, e.name}
		r.samples[k] = append(r.samples[k], v)
	}
}

func (r *report) finish(loads []load) {
	r.LoadEnd = table.LoadAverage()
	for _, l := range loads {
		for _, row := range slices.Concat(l.rows, machinery) {
			r.Measures = append(r.Measures, r.measure(l, row))
		}
	}
}

// pairs are the comparisons: each server that is no base with each base that is there.
func (r *report) pairs() [][2]string {
	var all [][2]string
	for _, s := range r.Servers {
		if slices.Contains(bases, s.Name) {
			continue
		}
		for _, base := range bases {
			if slices.ContainsFunc(r.Servers, func(o serverInfo) bool { return o.Name == base }) {
				all = append(all, [2]string{s.Name, base})
			}
		}
	}
	return all
}

func (r *report) measure(l load, row row) measure {
	m := measure{Load: l.name, Metric: row.metric, Unit: row.unit, Target: row.target(), Values: map[string]table.Spread{},
		Ratios: map[string]table.Ratio{}, Limited: map[string]table.Ratio{}}
	if row.title != "" {
		m.Title = l.title + ": " + row.title
	}
	for _, s := range r.Servers {
		v, ok := r.samples[[3]string{l.name, row.metric, s.Name}]
		if !ok {
			continue
		}
		m.Values[s.Name] = table.SpreadOf(v)
		if row.most != none && !slices.Contains(bases, s.Name) {
			var q table.Ratio
			q.Judge(m.Values[s.Name], m.Values[s.Name], func(v, _ float64) bool { return v <= row.most })
			m.Limited[s.Name] = q
		}
	}
	for _, p := range r.pairs() {
		v, ok := m.Values[p[0]]
		base, has := m.Values[p[1]]
		if ok && has {
			m.Ratios[p[0]+"/"+p[1]] = compare(v, base, row, row.targets[p[1]])
		}
	}
	return m
}

func compare(v, base table.Spread, row row, target float64) table.Ratio {
	q := table.RatioOf(v, base)
	if target != 0 && q.Value != nil {
		q.Judge(v, base, func(v, base float64) bool {
			if row.moreIsBetter {
				return v >= base*target
			}
			return v <= base*target
		})
	}
	return q
}

// target is the row's demand as text.
func (r row) target() string {
	sign := "<="
	if r.moreIsBetter {
		sign = ">="
	}
	var parts []string
	for _, base := range bases {
		if t := r.targets[base]; t != 0 {
			parts = append(parts, fmt.Sprintf("%s %s %s", sign, table.Hundredths(t), base))
		}
	}
	if r.most != none {
		parts = append(parts, fmt.Sprintf("<= %g", r.most))
	}
	return strings.Join(parts, ", ")
}

func (r *report) printHeader(w io.Writer) {
	fmt.Fprintf(w, "kernel %s, %d cores (%s), load average %s\n", r.Kernel, r.Cores, r.CPU, r.LoadStart)
	cores := "server and generator on a core each"
	if !r.Apart {
		cores = "server and generator on the same core"
	}
	if r.Realtime {
		cores += ", ahead of all else (SCHED_FIFO)"
	}
	fmt.Fprintf(w, "%d rounds of %g s; %s\n", r.Rounds, r.Seconds, cores)
	for _, s := range r.Servers {
		line := []string{s.Name + ":", s.Path}
		if s.Version != "" {
			line = []string{s.Name + ":", "version", s.Version}
		}
		fmt.Fprintln(w, strings.Join(append(line, s.Flags...), " "))
	}
}

func (r *report) printTable(w io.Writer) {
	head := []string{"median (min-max)", "unit"}
	for _, s := range r.Servers {
		head = append(head, s.Name)
		if !slices.Contains(bases, s.Name) {
			head = append(head, "")
		}
	}
	for _, p := range r.pairs() {
		head = append(head, p[0]+"/"+p[1], "")
	}
	lines := [][]string{append(head, "target")}
	for _, m := range r.Measures {
		if m.Title != "" {
			lines = append(lines, r.line(m))
		}
	}
	fmt.Fprintln(w)
	table.Align(w, lines)
	fmt.Fprintf(w, "\n? = not in every round. Load average at the end %s\n", r.LoadEnd)
}

func (r *report) line(m measure) []string {
	line := []string{m.Title, m.Unit}
	for _, s := range r.Servers {
		text := "-"
		if v, ok := m.Values[s.Name]; ok {
			text = table.Cell(v.Median, v.Min, v.Max, len(v.Samples), table.Digits)
		}
		line = append(line, text)
		if !slices.Contains(bases, s.Name) {
			_, verdict := m.Limited[s.Name].Cells(r.Rounds)
			line = append(line, verdict)
		}
	}
	for _, p := range r.pairs() {
		text, verdict := m.Ratios[p[0]+"/"+p[1]].Cells(r.Rounds)
		line = append(line, text, verdict)
	}
	return append(line, m.Target)
}
