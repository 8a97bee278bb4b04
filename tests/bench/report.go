// report.go: medians, ratios, verdicts, and their two forms: a table for people and JSON for scripts.

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"campusnet/bench/table"
)

// notAbove as a target asks that the value is not above the base's.
const notAbove = -1

// row is one figure of a load. The target is the largest good ratio to the base, 0 for none.
type row struct {
	metric, title, unit string
	target              float64
}

// machinery is for JSON only: without a title a row is not in the table.
var machinery = []row{{"generator_cpu", "", "us", 0}, {"others_cores", "", "cores", 0}}

type measure struct {
	Load   string                  `json:"load"`
	Metric string                  `json:"metric"`
	Title  string                  `json:"title"`
	Unit   string                  `json:"unit"`
	Target string                  `json:"target,omitempty"`
	Values map[string]table.Spread `json:"values"`
	Ratios map[string]table.Ratio  `json:"ratios"`
}

type serverInfo struct {
	Name    string   `json:"name"`
	Path    string   `json:"path"`
	Flags   []string `json:"flags"`
	Version string   `json:"version"`
	binary  float64  // MB
}

type report struct {
	Kernel    string       `json:"kernel"`
	CPU       string       `json:"cpu"`
	Cores     int          `json:"cores"`
	LoadStart string       `json:"load_average_start"`
	LoadEnd   string       `json:"load_average_end"`
	Go        string       `json:"go"`
	Tailscale string       `json:"tailscale"`
	Rounds    int          `json:"rounds"`
	Seconds   float64      `json:"seconds"`
	Pairs     int          `json:"pairs"`
	Idle      int          `json:"idle"`
	Connects  int          `json:"connects"`
	Burst     int          `json:"burst"`
	Base      string       `json:"base"`
	Servers   []serverInfo `json:"servers"`
	Measures  []measure    `json:"measures"`

	samples map[[3]string][]float64 // load, metric, server
}

func newReport(entries []entry, rounds int, z size) *report {
	r := &report{
		Kernel:    table.FileField("/proc/sys/kernel/osrelease", ""),
		CPU:       table.FileField("/proc/cpuinfo", "model name"),
		Cores:     runtime.NumCPU(),
		LoadStart: table.LoadAverage(),
		Go:        runtime.Version(),
		Tailscale: "unknown",
		Rounds:    rounds,
		Seconds:   z.seconds,
		Pairs:     z.pairs,
		Idle:      z.idle,
		Connects:  z.connects,
		Burst:     z.burst,
		Base:      entries[len(entries)-1].name,
		samples:   map[[3]string][]float64{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "tailscale.com" {
				r.Tailscale = d.Version
			}
		}
	}
	for _, e := range entries {
		if e.name == "derper" {
			r.Base = e.name
		}
		si := serverInfo{Name: e.name, Path: e.path, Flags: e.flags, Version: e.version()}
		if st, err := os.Stat(e.path); err == nil {
			si.binary = float64(st.Size()) / (1 << 20)
		}
		r.Servers = append(r.Servers, si)
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
			if _, ok := r.samples[[3]string{l.name, row.metric, r.Base}]; ok {
				r.Measures = append(r.Measures, r.measure(l.name, l.title, row))
			}
		}
	}
	for _, s := range r.Servers {
		r.samples[[3]string{"file", "binary", s.Name}] = []float64{s.binary}
	}
	r.Measures = append(r.Measures, r.measure("file", "program", row{"binary", "size of the file", "MB", 0}))
}

func (r *report) measure(load, title string, row row) measure {
	m := measure{Load: load, Metric: row.metric, Unit: row.unit, Values: map[string]table.Spread{}, Ratios: map[string]table.Ratio{}}
	if row.title != "" {
		m.Title = title + ": " + row.title
	}
	switch row.target {
	case 0:
	case notAbove:
		m.Target = "<= " + r.Base
	default:
		m.Target = fmt.Sprintf("<= %.2f", row.target)
	}
	base := table.SpreadOf(r.samples[[3]string{load, row.metric, r.Base}])
	for _, s := range r.Servers {
		v := table.SpreadOf(r.samples[[3]string{load, row.metric, s.Name}])
		m.Values[s.Name] = v
		if s.Name != r.Base {
			m.Ratios[s.Name] = compare(v, base, row)
		}
	}
	return m
}

func compare(v, base table.Spread, row row) table.Ratio {
	q := table.RatioOf(v, base)
	if row.target == notAbove {
		q.Judge(v, base, func(v, base float64) bool { return v <= base })
	} else if row.target != 0 && q.Value != nil {
		q.Judge(v, base, func(v, base float64) bool { return v <= base*row.target })
	}
	return q
}

func (r *report) printHeader(w io.Writer) {
	fmt.Fprintf(w, "kernel %s, %d cores (%s), load average %s\n", r.Kernel, r.Cores, r.CPU, r.LoadStart)
	fmt.Fprintf(w, "generator: %s, tailscale.com %s; %d rounds of %g s, %d pairs, %d packets per write in the flood, %d idle, %d connects\n",
		r.Go, r.Tailscale, r.Rounds, r.Seconds, r.Pairs, r.Burst, r.Idle, r.Connects)
	for _, s := range r.Servers {
		fmt.Fprintf(w, "%s: version %s %s\n", s.Name, s.Version, strings.Join(s.Flags, " "))
	}
}

func (r *report) printTable(w io.Writer) {
	head := []string{"median (min-max)", "unit"}
	for _, s := range r.Servers {
		head = append(head, s.Name)
	}
	for _, s := range r.Servers {
		if s.Name != r.Base {
			head = append(head, s.Name+"/"+r.Base, "")
		}
	}
	lines := [][]string{append(head, "target")}
	for _, m := range r.Measures {
		if m.Title == "" {
			continue
		}
		line := []string{m.Title, m.Unit}
		for _, s := range r.Servers {
			v := m.Values[s.Name]
			line = append(line, table.Cell(v.Median, v.Min, v.Max, len(v.Samples), table.Digits))
		}
		for _, s := range r.Servers {
			if s.Name == r.Base {
				continue
			}
			text, verdict := m.Ratios[s.Name].Cells(r.Rounds)
			line = append(line, text, verdict)
		}
		lines = append(lines, append(line, m.Target))
	}
	fmt.Fprintln(w)
	table.Align(w, lines)
	fmt.Fprintf(w, "\n? = not in every round. Cores busy with something else:")
	for _, s := range r.Servers {
		var all []float64
		for k, v := range r.samples {
			if k[1] == "others_cores" && k[2] == s.Name {
				all = append(all, v...)
			}
		}
		v := table.SpreadOf(all)
		fmt.Fprintf(w, " %s %s,", s.Name, table.Cell(v.Median, v.Min, v.Max, len(all), table.Hundredths))
	}
	fmt.Fprintf(w, " load average at the end %s\n", r.LoadEnd)
}
