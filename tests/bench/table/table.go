// Package table has what the benchmarks' reports share: spreads of samples, their text, and what machine it was.
package table

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

type Spread struct {
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	Samples []float64 `json:"samples,omitempty"`
}

func SpreadOf(samples []float64) Spread {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	return Spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1], samples}
}

// Ratio compares with a base: the value is that of the medians, the extremes are those of single rounds.
type Ratio struct {
	Value   *float64 `json:"value,omitempty"` // absent when the base has 0
	Min     float64  `json:"min,omitempty"`
	Max     float64  `json:"max,omitempty"`
	Verdict string   `json:"verdict,omitempty"` // met, missed, or absent without a target
	Unsure  bool     `json:"unsure,omitempty"`  // some rounds say otherwise
}

// RatioOf takes the samples pair by pair: those of one round belong together.
func RatioOf(v, base Spread) Ratio {
	if base.Min <= 0 {
		return Ratio{}
	}
	value := v.Median / base.Median
	var each []float64
	for i := range v.Samples {
		each = append(each, v.Samples[i]/base.Samples[i])
	}
	s := SpreadOf(each)
	return Ratio{Value: &value, Min: s.Min, Max: s.Max}
}

// Judge sets the verdict on the medians, and whether the rounds agree with it.
func (q *Ratio) Judge(v, base Spread, good func(v, base float64) bool) {
	met := good(v.Median, base.Median)
	q.Verdict = map[bool]string{true: "met", false: "missed"}[met]
	for i := range v.Samples {
		q.Unsure = q.Unsure || good(v.Samples[i], base.Samples[i]) != met
	}
}

// Cells are the ratio over n rounds and the verdict, as text.
func (q Ratio) Cells(n int) (ratio, verdict string) {
	ratio, verdict = "-", q.Verdict
	if q.Value != nil {
		ratio = Cell(*q.Value, q.Min, q.Max, n, Hundredths)
	}
	if q.Unsure {
		verdict += " ?"
	}
	return ratio, verdict
}

// Cell is the median and, if it says more, the range of n samples.
func Cell(median, low, high float64, n int, text func(float64) string) string {
	if n < 2 || low == high {
		return text(median)
	}
	return fmt.Sprintf("%s (%s-%s)", text(median), text(low), text(high))
}

// Digits keeps three significant ones, and all those before the point.
func Digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func Hundredths(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// Align writes the lines with their cells in columns.
func Align(w io.Writer, lines [][]string) {
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, c := range line {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, c := range line {
			fmt.Fprintf(&b, "%-*s  ", width[i], c)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// FileField is the file's first line, or what follows the colon on its first line with that prefix.
func FileField(path, prefix string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, prefix) {
			if prefix != "" {
				_, line, _ = strings.Cut(line, ":")
			}
			return strings.TrimSpace(line)
		}
	}
	return "unknown"
}

func LoadAverage() string {
	f := strings.Fields(FileField("/proc/loadavg", ""))
	return strings.Join(f[:min(3, len(f))], " ")
}

// Progress keeps one line on a terminal; a log gets nothing.
func Progress(format string, args ...any) {
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
	}
}
