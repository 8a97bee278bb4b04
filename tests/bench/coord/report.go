// report.go: medians, ratios and verdicts, as a table for people and as JSON.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"

	"campusnet/bench/table"
)

// row is one figure. target is the largest good value, share the largest good part of Headscale's; -1 is none.
// reference is what Headscale was measured at when this project began; 0 if it was not.
type row struct {
	metric, title, unit      string
	target, share, reference float64
}

const none = -1

func loads(z size) []load {
	seen := fmt.Sprintf("%d nodes that all see each other", z.nodes)
	many := fmt.Sprintf("%d nodes in teams of %d", z.many, z.team)
	return []load{
		{"few", few, []row{
			{"mem_none", "no nodes: memory", "MB", none, none, 46},
			{"mem_few", "2 nodes: memory", "MB", 8, none, 50},
		}},
		{"all", all, []row{
			{"join_time", seen + ", join at once: until all have the right map", "s", 10, none, 0},
			{"join_failures", "  attempts that failed or timed out", "", 0, none, 0},
			{"join_cpu", "  coordinator's CPU", "s", none, none, 0},
			{"join_others", "  cores busy with something else meanwhile", "", none, none, 0},
			{"join_bytes", "  maps sent, compressed", "MB", none, none, 0},
			{"join_messages", "  messages per node", "", none, none, 0},
			{"mem_nodes", "  memory", "MB", 30, none, 0},
			{"change_p50", "  one endpoint changes: until the last has it, p50", "ms", none, none, 0},
			{"change_p99", "  one endpoint changes: until the last has it, p99", "ms", 150, none, 0},
			{"change_cpu", "  one endpoint changes: coordinator's CPU", "ms", 20, none, 0},
			{"change_others", "  one endpoint changes: cores busy with something else", "", none, none, 0},
			{"change_bytes", "  one endpoint changes: sent to each, compressed", "B", none, none, 0},
			{"restart_stop", "  restart: SIGTERM until all streams are closed", "s", none, none, 0},
			{"restart_start", "  restart: start until it answers", "s", none, none, 0},
			{"restart_back", "  restart: SIGTERM until all have the right map again", "s", none, none, 0},
			{"restart_rate", "  restart: most connections within a second", "1/s", none, none, 0},
		}},
		{"teams", teams, []row{
			{"many_time", many + fmt.Sprintf(", %d join at a time: until all have the right map", z.width), "s", none, none, 0},
			{"many_cpu", "  coordinator's CPU", "s", none, none, 0},
			{"mem_many", "  memory", "MB", 200, none, 0},
			{"many_change_p50", "  one endpoint changes: until the last of its team has it, p50", "ms", none, none, 0},
			{"many_change_p99", "  one endpoint changes: until the last of its team has it, p99", "ms", none, none, 0},
			{"many_change_cpu", "  one endpoint changes: coordinator's CPU", "ms", none, none, 0},
			{"many_change_bytes", "  one endpoint changes: sent to each, compressed", "B", none, none, 0},
		}},
	}
}

var upRows = []row{{"up_time", "stock client, plain HTTP: tailscale up to Running", "s", 0.35, 0.2, 2.5}}

var fileRows = []row{
	{"size_stripped", "program, stripped", "MB", 3, none, 0},
	{"size_built", "program, as built", "MB", none, none, 0},
}

// rows are all of them, as they are printed.
func rows(z size) []row {
	all := slices.Clone(upRows)
	for _, l := range loads(z) {
		all = append(all, l.rows...)
	}
	return append(all, fileRows...)
}

type serverInfo struct {
	Name    string   `json:"name"`
	Path    string   `json:"path"`
	Flags   []string `json:"flags"`
	Version string   `json:"version"`
}

type figure struct {
	Metric    string                  `json:"metric"`
	Title     string                  `json:"title"`
	Unit      string                  `json:"unit"`
	Target    *float64                `json:"target,omitempty"`
	Share     *float64                `json:"target_share,omitempty"`
	Reference float64                 `json:"reference,omitempty"`
	Values    map[string]table.Spread `json:"values"`
	Verdicts  map[string]string       `json:"verdicts,omitempty"`
}

type report struct {
	Kernel    string       `json:"kernel"`
	CPU       string       `json:"cpu"`
	Cores     int          `json:"cores"`
	LoadStart string       `json:"load_average_start"`
	LoadEnd   string       `json:"load_average_end"`
	Go        string       `json:"go"`
	Tailscale string       `json:"tailscale"`
	Servers   []serverInfo `json:"servers"`
	Measures  []figure     `json:"measures"`
	Notes     []string     `json:"notes,omitempty"`

	samples map[[2]string][]float64 // metric, server
	base    string                  // whose name begins with headscale, or ""
}

func newReport(entries []entry) *report {
	r := &report{
		Kernel: table.FileField("/proc/sys/kernel/osrelease", ""), CPU: table.FileField("/proc/cpuinfo", "model name"),
		Cores: runtime.NumCPU(), LoadStart: table.LoadAverage(), Go: runtime.Version(), Tailscale: "unknown",
		samples: map[[2]string][]float64{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "tailscale.com" {
				r.Tailscale = d.Version
			}
		}
	}
	for _, e := range entries {
		if e.isHeadscale() {
			r.base = e.name
		}
		r.Servers = append(r.Servers, serverInfo{e.name, e.path, e.flags, e.version()})
	}
	return r
}

func (r *report) add(e entry, fig figures) {
	for metric, v := range fig {
		k := [2]string{metric, e.name}
		r.samples[k] = append(r.samples[k], v)
	}
}

func (r *report) finish(rows []row) {
	r.LoadEnd = table.LoadAverage()
	for _, row := range rows {
		m := figure{Metric: row.metric, Title: row.title, Unit: row.unit, Reference: row.reference,
			Values: map[string]table.Spread{}, Verdicts: map[string]string{}}
		if row.target != none {
			m.Target = &row.target
		}
		if row.share != none {
			m.Share = &row.share
		}
		for _, s := range r.Servers {
			if v, ok := r.samples[[2]string{row.metric, s.Name}]; ok {
				m.Values[s.Name] = table.SpreadOf(v)
			}
		}
		if len(m.Values) == 0 {
			continue
		}
		for name, v := range m.Values {
			if name != r.base {
				m.Verdicts[name] = verdict(row, v, m.Values[r.base])
			}
		}
		r.Measures = append(r.Measures, m)
	}
}

// verdict is met or missed, with a question mark if single samples say otherwise, or nothing without a target.
func verdict(row row, v, base table.Spread) string {
	limit := row.target
	if row.share != none && base.Median > 0 {
		limit = min(limit, row.share*base.Median)
	}
	if limit == none {
		return ""
	}
	text := map[bool]string{true: "met", false: "missed"}[v.Median <= limit]
	if (v.Min <= limit) != (v.Max <= limit) {
		text += " ?"
	}
	return text
}

func (r *report) printHeader(w io.Writer, z size) {
	fmt.Fprintf(w, "kernel %s, %d cores (%s), load average %s\n", r.Kernel, r.Cores, r.CPU, r.LoadStart)
	fmt.Fprintf(w, "swarm: %s, tailscale.com %s, on the same cores. Its nodes register, announce themselves and hold the map\n"+
		"stream, without WireGuard. %d nodes are without a policy: all see all; %d have one rule per team of %d: each sees its team\n",
		r.Go, r.Tailscale, z.nodes, z.many, z.team)
	for _, s := range r.Servers {
		fmt.Fprintf(w, "%s: version %s\n", s.Name, s.Version)
	}
}

func (r *report) printTable(w io.Writer) {
	head := []string{"median (min-max)", "unit"}
	for _, s := range r.Servers {
		head = append(head, s.Name)
	}
	if r.base == "" {
		head = append(head, "headscale*")
	}
	for _, s := range r.Servers {
		if s.Name != r.base {
			head = append(head, "/headscale", "")
		}
	}
	lines := [][]string{append(head, "target")}
	for _, m := range r.Measures {
		lines = append(lines, r.line(m))
	}
	fmt.Fprintln(w)
	table.Align(w, lines)
	fmt.Fprintf(w, "\n? = not in every sample. Load average at the end %s\n", r.LoadEnd)
	if r.base == "" {
		fmt.Fprintln(w, "* = measured earlier, on another machine. HEADSCALE=/path/to/headscale measures it beside coordd")
	}
	for _, text := range r.Notes {
		fmt.Fprintln(w, "note:", text)
	}
}

func (r *report) line(m figure) []string {
	line := []string{m.Title, m.Unit}
	for _, s := range r.Servers {
		text := "-"
		if v, ok := m.Values[s.Name]; ok {
			text = table.Cell(v.Median, v.Min, v.Max, len(v.Samples), table.Digits)
		}
		line = append(line, text)
	}
	base := m.Reference
	if r.base != "" {
		base = m.Values[r.base].Median
	} else if base > 0 {
		line = append(line, table.Digits(base))
	} else {
		line = append(line, "-")
	}
	for _, s := range r.Servers {
		if s.Name == r.base {
			continue
		}
		text := "-"
		if v, ok := m.Values[s.Name]; ok && base > 0 && m.Unit != "" {
			text = table.Hundredths(v.Median / base)
		}
		line = append(line, text, m.Verdicts[s.Name])
	}
	target := ""
	if m.Target != nil {
		target = "<= " + table.Digits(*m.Target)
	}
	if m.Share != nil {
		target += fmt.Sprintf(", <= %.1f of headscale", *m.Share)
	}
	return append(line, target)
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
